"""Find the instructors' exercise sources: `python -m tools.assignments`.

Sources are paired MyST texts in nbgrader's form, `assignments/source/chNN/*.md`. There are none yet; the generator of
the students' notebooks comes with the first of them, and until then a source is an error rather than silently ignored.
"""

import sys

from tools.pairs import ROOT


def main() -> int:
    """Say what there is; returns the exit status."""
    sources = sorted(ROOT.glob("assignments/source/ch*/*.md"))
    if not sources:
        print("no exercise sources yet (they will live in assignments/source/chNN/)")
        return 0
    for source in sources:
        print(f"{source.relative_to(ROOT)}: there is no generator for students' notebooks yet", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
