"""A small notebook in two forms, in a tree of its own."""

from pathlib import Path

import pytest

TEXT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A small notebook

```{code-cell} ipython3
:tags: [setup, hide-input]

pass
```

```{code-cell} ipython3
import vaelib
```

```{code-cell} ipython3
:tags: [parameters]

profile = vaelib.profile()
```

Some words.

```{code-cell} ipython3
print("the profile is", profile)
```

```{code-cell} ipython3
:tags: [nbval-check-output]

print(6 * 7)
```
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """The text of a notebook that has no .ipynb yet."""
    path = tmp_path / "book" / "01_chapter" / "01_small.md"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT, encoding="utf-8")
    return path
