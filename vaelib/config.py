"""Typed settings: frozen dataclasses that go to JSON and back, and that name the near miss when an option is misspelt.

Every model, network, likelihood and training run is described by a frozen dataclass, so the settings of a run are a
value that can be printed, compared, saved and typed on a command line. Where a field may hold one of several
dataclasses (a Gaussian or a Laplace likelihood), their common base is a `Choice`, and JSON tells them apart by `kind`.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

T = TypeVar("T")


def near_miss(name: str, known: Iterable[str]) -> str:
    """' Did you mean …?' with the closest known name, or nothing when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class Choice:
    """The base of several dataclasses of which a setting holds one. Each has a `kind`, its name in JSON and on the
    command line."""

    kind: ClassVar[str]

    @classmethod
    def choices(cls) -> dict[str, type[Self]]:
        """Every dataclass below this base, by kind; a dataclass that has a kind is a choice of its own."""
        found: dict[str, type[Self]] = {cls.kind: cls} if "kind" in vars(cls) else {}
        for subclass in cls.__subclasses__():
            found.update(subclass.choices())
        return found

    @classmethod
    def named(cls, kind: str) -> type[Self]:
        """The dataclass of this kind.

        Raises:
            ValueError: no such kind; the message names the near miss.
        """
        choices = cls.choices()
        if kind not in choices:
            raise ValueError(
                f"there is no {cls.__name__.lower()} {kind!r}; there are {', '.join(sorted(choices))}."
                f"{near_miss(kind, choices)}"
            )
        return choices[kind]


def check_option_names(cls: type, names: Iterable[str]) -> None:
    """Raise a ValueError with the near miss when a name is no field of the dataclass `cls`."""
    known = [field.name for field in dataclasses.fields(cls)]
    for name in names:
        if name not in known:
            raise ValueError(
                f"{cls.__name__} has no option {name!r}; it has {', '.join(known)}.{near_miss(name, known)}"
            )


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values; a `Choice` carries its `kind`."""
    values = {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    return {"kind": config.kind, **values} if isinstance(config, Choice) else values


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass `cls` with these values, each checked against the type of its field.

    Raises:
        ValueError: an unknown option (the near miss is named) or a value of the wrong type.
    """
    values = dict(values)
    if issubclass(cls, Choice):
        if "kind" not in values:
            raise ValueError(f"{cls.__name__} needs a 'kind', one of {', '.join(sorted(cls.choices()))}")
        cls = cls.named(values.pop("kind"))
    check_option_names(cls, values)
    hints = typing.get_type_hints(cls)
    return cls(**{name: _typed(hints[name], value, f"{cls.__name__}.{name}") for name, value in values.items()})


def check_types(config: Any) -> None:
    """Raise a ValueError when a field of a dataclass holds a value of another type than the field's own.

    For `__post_init__`: what is typed in Python is then refused as early as what is read from a file.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        _typed(hints[field.name], getattr(config, field.name), f"{type(config).__name__}.{field.name}")


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    name = hint if origin else getattr(hint, "__name__", hint)
    wrong = ValueError(f"{where} should be {name}, not {value!r}")
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _typed(option, value, where)
            except ValueError:
                continue
        raise wrong
    if hint is type(None):
        if value is not None:
            raise wrong
        return None
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(
                f"{where} should be one of {', '.join(map(str, arguments))}, not {value!r}."
                f"{near_miss(str(value), map(str, arguments))}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise wrong
        items = arguments[:1] * len(value) if arguments[-1:] == (Ellipsis,) else arguments
        if len(items) != len(value):
            raise wrong
        return tuple(_typed(item, one, where) for item, one in zip(items, value, strict=True))
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Choice)):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise wrong
        return from_dict(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise wrong
    return value
