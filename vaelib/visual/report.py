"""Numbers for prose: printed where the cell stands, and glued so that the book can quote them."""

import math

# The mark that myst-nb looks for; glued outputs carry it so that the page does not show them a second time.
# Source: the glue extension of myst-nb, which a reader in Colab does not have.
_HIDDEN = "application/papermill.record/"


def report(**values: str | float) -> None:
    """Print each value and glue it under its name; the text then quotes it as {glue:text}`name`.

    A number in prose must never be typed by hand: it would stay when the result changes. Numbers are rounded to four
    significant digits; give a string to decide yourself.

    Args:
        **values: name=value.
    """
    from IPython.display import display

    for name, value in values.items():
        text = value if isinstance(value, str) else _rounded(value)
        print(f"{name.replace('_', ' ')}: {text}")
        display(
            {f"{_HIDDEN}text/plain": text},
            raw=True,
            metadata={"scrapbook": {"name": name, "mime_prefix": _HIDDEN}},
        )


def _rounded(value: float) -> str:
    """Four significant digits, with a thousands separator and no exponent where one can be avoided."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.4g}"
