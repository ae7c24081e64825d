"""List the trained models that the project ships, and load each one, which checks its hash: `python -m tools.zoo`."""

import sys

import vaelib


def main() -> int:
    """Print one line for each model; returns the exit status."""
    names = vaelib.zoo.names()
    if not names:
        print("the zoo has no models yet; `python -m vaelib.zoo.add --help` says how to add one")
    for name in names:
        card, model = vaelib.zoo.card(name), vaelib.zoo.load(name)
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"{name:24} {card['kind']:14} {count / 1e6:6.2f} M parameters   {card['title']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
