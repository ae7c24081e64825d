"""Mutants of a right answer: one thing changed in its syntax tree, each as a slip of the pen would."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

from assignments.answers import Planted

OPERATORS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.Gt: [ast.Lt],
    ast.Lt: [ast.Gt],
}
# What is taken for what: reductions, functions, noise, modes.
NAMES = {
    "sum": ["mean"],
    "mean": ["sum"],
    "fmean": ["sum"],
    "exp": ["log", "expm1"],
    "log": ["exp", "log1p"],
    "log_prob": ["cdf"],
    "max": ["min"],
    "sqrt": ["square"],
    "square": ["abs"],
    "logsumexp": ["mean"],
    "logaddexp": ["add", "maximum"],
    "cat": ["vstack"],
    "eval": ["train"],
    "train": ["eval"],
    "full_like": ["zeros_like"],
    "loc": ["scale"],
    "scale": ["loc"],
    "append": ["remove"],
}


def mutants(planted: Planted) -> Iterator[tuple[str, Any]]:
    """Every mutant of an answer, with words about what was changed. One that does not even compile is left out."""
    definition = planted.definition
    parameters = [each.arg for each in [*definition.args.args, *definition.args.kwonlyargs]]
    for index, node in enumerate(ast.walk(definition)):
        for words, change in changes(node, parameters):
            mutant = copy.deepcopy(definition)
            place = list(ast.walk(mutant))[index]
            change(mutant, place)
            ast.fix_missing_locations(mutant)
            try:
                answer = compiled(mutant, planted)
            except TypeError:  # a decorator that decorates no more
                continue
            yield f"line {getattr(node, 'lineno', 0)}: {words}", answer


def compiled(definition: ast.FunctionDef, planted: Planted) -> Any:
    """The mutant as something to hand in."""
    names = dict(vars(planted.module))
    exec(
        compile(ast.Module([definition], []), f"<mutant of {definition.name}>", "exec"), names
    )  # our own file, changed
    function = names[definition.name]
    return function if not planted.made else Made(function)


class Made:
    """A formula that is made when it is asked for, since making it may fail."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


Change = Callable[[ast.AST, Any], None]


def changes(node: ast.AST, parameters: list[str]) -> Iterator[tuple[str, Change]]:
    """What may be changed at one place of a tree."""
    match node:
        case ast.BinOp(op=op):
            for other in OPERATORS.get(type(op), []):
                yield f"{ast.unparse(node)}: {type(op).__name__} → {other.__name__}", _set("op", other())
            yield f"{ast.unparse(node)}: only the left of it", _become("left")
            yield f"{ast.unparse(node)}: only the right of it", _become("right")
        case ast.UnaryOp(op=ast.USub()):
            yield f"{ast.unparse(node)}: the sign dropped", _become("operand")
        case ast.AugAssign(op=ast.Add()):
            yield f"{ast.unparse(node)}: += → -=", _set("op", ast.Sub())
        case ast.Compare(ops=[op]) if type(op) in OPERATORS:
            yield f"{ast.unparse(node)}: turned round", _set("ops", [OPERATORS[type(op)][0]()])
        case ast.Constant(value=bool() as value):
            yield f"{value} → {not value}", _set("value", not value)
        case ast.Constant(value=int() | float() as value):
            for other in dict.fromkeys([value + 1, value - 1, 2 * value]):
                if other != value:
                    yield f"{value} → {other}", _set("value", other)
        case ast.Constant(value=str() as text) if "*" in text:  # a formula
            yield from _formulas(text, parameters)
        case ast.Call(func=ast.Attribute(attr=name), args=args, keywords=keywords):
            for other in NAMES.get(name, []):
                yield f"{ast.unparse(node)}: {name} → {other}", _rename(other)
            if len(args) == 1 and not keywords:
                yield f"{ast.unparse(node)}: {name} left out", _replace(lambda call: call.args[0])
            if not args:
                yield f"{ast.unparse(node)}: {name} left out", _replace(lambda call: call.func.value)
            yield from _arguments(node)
        case ast.Call(func=ast.Name(id=name)):
            for other in NAMES.get(name, []):
                yield f"{ast.unparse(node)}: {name} → {other}", _rename(other)
            yield from _arguments(node)
        case ast.Name(id=name, ctx=ast.Load()) if name in parameters and len(parameters) > 1:
            other = parameters[(parameters.index(name) + 1) % len(parameters)]
            yield f"{name} → {other}", _set("id", other)
        case ast.Expr(value=ast.Call()):
            yield f"{ast.unparse(node)}: left out", _replace(lambda _: ast.Pass())
        case ast.With():
            yield (
                f"with {ast.unparse(node.items[0])}: left out",
                _replace(lambda block: ast.If(ast.Constant(True), block.body, [])),
            )
        case ast.FunctionDef(decorator_list=[_, *_]):
            yield f"@{ast.unparse(node.decorator_list[0])}: left out", _set("decorator_list", [])


def _arguments(node: ast.Call) -> Iterator[tuple[str, Change]]:
    if len(node.args) >= 2:
        yield f"{ast.unparse(node)}: arguments swapped", _swap
    for keyword in node.keywords:
        if keyword.arg is not None:
            yield f"{ast.unparse(node)}: {keyword.arg} left out", _without(keyword.arg)


def _formulas(text: str, parameters: list[str]) -> Iterator[tuple[str, Change]]:
    """The mutants of a formula that is written as a string."""
    tree = ast.parse(text, mode="eval")
    names = sorted({each.id for each in ast.walk(tree) if isinstance(each, ast.Name)})
    for index, node in enumerate(ast.walk(tree)):
        for words, change in changes(node, names):
            mutant = copy.deepcopy(tree)
            change(mutant, list(ast.walk(mutant))[index])
            yield words, _set("value", ast.unparse(ast.fix_missing_locations(mutant)))


def _set(field: str, value: Any) -> Change:
    return lambda tree, node: setattr(node, field, copy.deepcopy(value))


def _become(field: str) -> Change:
    return _replace(lambda node: getattr(node, field))


def _replace(made: Callable[[Any], ast.AST]) -> Change:
    """Put something else in a node's place, wherever that is."""

    def change(tree: ast.AST, node: ast.AST) -> None:
        for parent in ast.walk(tree):
            for field, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, field, made(node))
                elif isinstance(value, list):
                    value[:] = [made(node) if each is node else each for each in value]

    return change


def _rename(name: str) -> Change:
    def change(tree: ast.AST, call: Any) -> None:
        if isinstance(call.func, ast.Attribute):
            call.func.attr = name
        else:
            call.func.id = name

    return change


def _swap(tree: ast.AST, call: Any) -> None:
    call.args[0], call.args[1] = call.args[1], call.args[0]


def _without(name: str) -> Change:
    def change(tree: ast.AST, call: Any) -> None:
        call.keywords = [each for each in call.keywords if each.arg != name]

    return change
