"""The small programs behind the Makefile. Run them from the repository's root: `python -m tools.notebooks check`."""
