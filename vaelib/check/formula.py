"""Tasks whose answer is a formula: a sympy expression, a string such as "mu**2 + sigma**2", or a function of numbers.

A string is read with Python's own parser and turned into sympy piece by piece, so nothing in it is ever run. Sympy
comes with torch.
"""

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from vaelib.check.answer import Trouble
from vaelib.check.task import Task

FUNCTIONS = {"sqrt": sympy.sqrt, "exp": sympy.exp, "log": sympy.log, "ln": sympy.log}
CONSTANTS = {"pi": sympy.pi, "π": sympy.pi, "e": sympy.E}
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
GREEK = {"mu": "μ", "sigma": "σ", "beta": "β", "epsilon": "ε"}
MOST_CHARACTERS, MOST_POWER = 1_000, 100


@dataclass(frozen=True)
class FormulaTask(Task):
    """A task that takes an expression in its `arguments` as readily as a function of them."""

    def prepared(self, answer: Any) -> Any:
        if isinstance(answer, str):
            answer = parsed(answer, self.arguments)
        if isinstance(answer, sympy.Basic):
            return evaluated(answer, self.arguments)
        if isinstance(answer, (int, float)) and not isinstance(answer, bool):
            return evaluated(sympy.Float(answer), self.arguments)
        return answer


def evaluated(expression: sympy.Basic, names: tuple[str, ...]) -> Callable[..., float]:
    """A function of numbers that computes an expression.

    Raises:
        Trouble: it is no expression for a number, or has other symbols in it.
    """
    if not isinstance(expression, sympy.Expr):
        raise Trouble(f"the formula should be an expression for a number, and this is {expression}")
    latin = {greek: name for name, greek in GREEK.items()}
    symbols = {symbol: latin.get(symbol.name, symbol.name) for symbol in expression.free_symbols}
    if unknown := sorted(symbol.name for symbol, name in symbols.items() if name not in names):
        raise Trouble(f"the formula may use {', '.join(names)}, and it has {', '.join(unknown)} in it")

    def function(**numbers: float) -> float:
        number = expression.evalf(subs={symbol: numbers[name] for symbol, name in symbols.items()})
        if not number.is_real:
            raise ArithmeticError(f"the formula is {number} there, which is no real number")
        return float(number)

    return function


def parsed(text: str, names: tuple[str, ...]) -> sympy.Expr:
    """The expression that a string says.

    Raises:
        Trouble: it is none; the message says why.
    """
    if len(text) > MOST_CHARACTERS:
        raise Trouble(f"the formula has {len(text)} characters; one of at most {MOST_CHARACTERS} is asked for")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Trouble(f"the formula {text!r} cannot be read; write it as in Python: `(x - 1)**2 / 2`") from error
    return _expression(tree, names)


def _expression(node: ast.expr, names: tuple[str, ...]) -> sympy.Expr:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return sympy.Rational(str(node.value))
        case ast.Name(id=name):
            plain = {greek: latin for latin, greek in GREEK.items()}.get(name, name)
            if plain in names:
                return sympy.Symbol(plain)
            if name in CONSTANTS:
                return CONSTANTS[name]
            raise Trouble(f"the formula may use {', '.join(names)}, and it has {name} in it")
        case ast.BinOp(op=ast.BitXor()):
            raise Trouble("write powers with two stars, as in x**2: in Python, ^ means something else")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            first, second = _expression(left, names), _expression(right, names)
            # Sympy would work out 9**9**9 to the last digit.
            if isinstance(op, ast.Pow) and second.is_number and abs(second) > MOST_POWER:
                raise Trouble(f"the formula has a power of more than {MOST_POWER}, far more than is needed here")
            return OPERATORS[type(op)](first, second)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_expression(operand, names))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](_expression(argument, names))
    raise Trouble(f"the formula has `{ast.unparse(node)}` in it; numbers, names, + - * / ** and sqrt, exp, log will do")
