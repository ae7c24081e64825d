"""Command-line options from dataclasses: names and types from the fields, help from the docstrings.

`latent_dimension: int` becomes `--latent-dimension 32`. A field that holds one of several dataclasses is written
`kind` or `kind:option=value,option=value`: `--likelihood fixed-gaussian:variance=0.02`,
`--network convolutional:widths=32,64`.
"""

import argparse
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vaelib.config import Choice, near_miss


class UsageError(ValueError):
    """The command line itself is wrong: exit code 2."""


def add_options_of(parser: Any, config: Any, *, title: str, skip: Iterable[str] = ()) -> None:
    """An option for every field of a dataclass, absent from the result unless the user gives it.

    Args:
        parser: where to add a group of options.
        config: an instance, whose values are the defaults that the help shows.
        title: of the group.
        skip: fields that are set in another way.
    """
    group = parser.add_argument_group(title)
    hints, texts = typing.get_type_hints(type(config)), attribute_help(type(config))
    for field in dataclasses.fields(config):
        if field.name in skip:
            continue
        name, hint, value = f"--{field.name.replace('_', '-')}", hints[field.name], getattr(config, field.name)
        text = texts.get(field.name, "").rstrip(".")
        if isinstance(value, Choice):
            text += f"; one of {', '.join(sorted(hint.choices()))}; settings as KIND:option=value,option=value"
        text = f"{text} (default: {as_text(value)})".strip().replace("%", "%%")
        settings: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, **settings)
        else:
            group.add_argument(name, type=reader(hint), metavar=placeholder(hint), **settings)


def changed(config: Any, options: argparse.Namespace) -> Any:
    """The dataclass with the fields that the user gave.

    Raises:
        ValueError: a value that the dataclass does not accept.
    """
    names = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in vars(options).items() if name in names})


def reader(hint: Any) -> Callable[[str], Any]:
    """A function from the text of an option to its value, for argparse."""

    def read(text: str) -> Any:
        try:
            return parse(text, hint)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def parse(text: str, hint: Any) -> Any:
    """The value that a text means where this type is expected.

    Raises:
        ValueError: it means none; the message says what was expected and names a near miss.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and text.lower() == "none":
            return None
        options = [option for option in arguments if option is not type(None)]
        for option in options[:-1]:
            try:
                return parse(text, option)
            except ValueError:
                continue
        return parse(text, options[-1])
    if origin is typing.Literal:
        values = {str(value): value for value in arguments}
        if text not in values:
            raise ValueError(f"should be one of {', '.join(values)}, not {text!r}.{near_miss(text, values)}")
        return values[text]
    if origin is tuple:
        parts = text.strip("()").split(",")
        items = arguments[:1] * len(parts) if arguments[-1:] == (Ellipsis,) else arguments
        if len(items) != len(parts):
            raise ValueError(f"should be {len(items)} values with commas between, not {text!r}")
        return tuple(parse(part.strip(), item) for part, item in zip(parts, items, strict=True))
    if isinstance(hint, type) and issubclass(hint, Choice):
        kind, _, settings = text.partition(":")
        return _parse_settings(settings, hint.named(kind), kind)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _parse_settings(text, hint, hint.__name__)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"should be true or false, not {text!r}")
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"should be {'a whole number' if hint is int else 'a number'}, not {text!r}") from None
    return hint(text)


def _parse_settings(settings: str, cls: Any, kind: str) -> Any:
    """A dataclass from `name=value,name=value`; what is not named has its default."""
    given: dict[str, str] = {}
    name = ""
    for part in settings.split(",") if settings else []:
        # A part without "=" belongs to the list before it: widths=32,64.
        if "=" in part:
            name, _, given[name] = (piece.strip() for piece in part.partition("="))
        elif name:
            given[name] += f",{part}"
        else:
            raise ValueError(f"after {kind}: should come option=value, not {part!r}")
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"{kind} has no option {name!r}; it has {', '.join(known) or 'none'}.{near_miss(name, known)}"
            )
        try:
            values[name] = parse(value, hints[name])
        except ValueError as error:
            raise ValueError(f"{kind}: {name} {error}") from error
    return cls(**values)


def output_file(text: str) -> Path:
    """A file to write to, for argparse: what cannot be written is better said before the work than after."""
    file = Path(text).expanduser()
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"should be a file to write, but {file} is a folder")
    return output_folder(str(file.parent)) / file.name


def output_folder(text: str) -> Path:
    """A folder to write into, made when it is not there, for argparse."""
    folder = Path(text).expanduser()
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise argparse.ArgumentTypeError(f"cannot be written: {path} is a file, not a folder")
    return folder


def seed(text: str) -> int:
    """A seed that torch.Generator takes, for argparse."""
    value = reader(int)(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"should be from 0 to 2^63 - 1, not {value}")
    return value


def at_least_one(text: str) -> int:
    """A count, for argparse."""
    value = reader(int)(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"should be at least 1, not {value}")
    return value


def positive(text: str) -> float:
    """A positive number, for argparse."""
    value = reader(float)(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"should be a positive number, not {text}")
    return value


def one_of(known: Iterable[str]) -> Callable[[str], str]:
    """A name out of a list, for argparse, which would not name the near miss itself."""
    return reader(typing.Literal[tuple(known)])


def as_text(value: Any) -> str:
    """A value as one would type it: the inverse of `parse`."""
    if dataclasses.is_dataclass(value):
        settings = ",".join(
            f"{field.name}={as_text(getattr(value, field.name))}" for field in dataclasses.fields(value)
        )
        if isinstance(value, Choice):
            return f"{value.kind}:{settings}" if settings else value.kind
        return settings
    if isinstance(value, (tuple, list)):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, (bool, type(None))):
        return str(value).lower()
    return str(value)


def settings_table(config: Any) -> list[tuple[str, str]]:
    """Every setting by name, as one would type it."""
    return [(field.name, as_text(getattr(config, field.name))) for field in dataclasses.fields(config)]


def placeholder(hint: Any) -> str:
    """What the help shows for a value of this type: N, X, a|b, KIND."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return "|".join("none" if option is type(None) else placeholder(option) for option in arguments)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin is tuple:
        return ",".join("…" if item is Ellipsis else placeholder(item) for item in arguments)
    if isinstance(hint, type) and issubclass(hint, Choice):
        return "KIND"
    return {int: "N", float: "X", bool: "true|false"}.get(hint, "TEXT")


def attribute_help(cls: type) -> dict[str, str]:
    """The `Attributes:` sections of a class and its bases, by field.

    Entries look like `name: text`, `one, two: text` or "one: text; `two`: text", and go on in lines that are indented
    further.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        # A dataclass without a docstring is given its signature by Python, which has no such section.
        section = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)*)", inspect.cleandoc(base.__doc__ or ""), re.MULTILINE)
        if not section:
            continue
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc("\n" + section[1])):
            first, *others = re.split(r";\s+`(?=\w+`:)", entry)
            for part in [first, *others]:
                names, _, text = part.partition(":")
                found |= {name.strip(" `"): " ".join(text.split()).replace("`", "") for name in names.split(",")}
    return found
