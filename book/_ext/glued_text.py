"""Show the numbers that notebooks report exactly as they were reported.

myst-nb reads a glued text as a Python literal before it pastes it, so 6,653 would become the pair (6, 653), and 0.0070
would lose the digit that says how well it is known. `vaelib.visual.report` glues text that is ready to be read.
"""

from myst_nb.ext.glue import crossref, roles
from sphinx.application import Sphinx


def verbatim(text: str, fmt_spec: str) -> str:
    """The text as it is. The book uses no format specifications: `report` has rounded already."""
    if fmt_spec != "s":
        raise ValueError(f"give report() a string instead of the format {fmt_spec!r} in the text")
    return text


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point."""
    for module in (roles, crossref):
        module.format_plain_text = verbatim
    return {"parallel_read_safe": True, "parallel_write_safe": True}
