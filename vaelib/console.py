"""Progress on the terminal and in notebooks: one bar, silent where nobody watches."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def quiet() -> bool:
    """Whether bars and remarks are switched off: VAELIB_CI=1, as in the tests and in rendered notebooks."""
    return os.environ.get("VAELIB_CI", "") not in ("", "0")


def progress_bar(items: Iterable[Any] | None = None, **settings: Any) -> tqdm:
    """A tqdm bar (all its settings apply), silent when `quiet()`.

    Text, not a widget: a widget's state is not saved, and would leave a gap in the book.
    """
    return tqdm(items, **{"disable": quiet(), "dynamic_ncols": True, **settings})


def say(message: str) -> None:
    """A remark for whoever watches, above any bar; nothing when `quiet()`."""
    if not quiet():
        tqdm.write(message)
