"""Train, ship and measure the families of the zoo: `python -m vaelib.zoo.families train|ship|measure NAME`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from vaelib import storage
from vaelib.console import say
from vaelib.evaluation.protocol import current_versions
from vaelib.models import Model
from vaelib.training import train
from vaelib.zoo.families import FOLDER, Family, Member, family, names


def train_members(some: Family, members: Sequence[Member]) -> None:
    """Train those that are not finished; one that was interrupted goes on where it stopped."""
    data = some.data("train")
    for member in members:
        run = some.run(member)
        if storage.is_model(run / "model"):
            continue
        settings = replace(member.training or some.training, seed=member.seed)
        result = train(member.build(), data, settings, run=run)
        say(f"{member.name}: {result.images_seen:,} images in {result.seconds:.0f} s")


def ship(some: Family) -> Path:
    """Put the weights of the runs that are to be shipped into one file of the zoo, in half precision.

    Raises:
        ValueError: the zoo holds no weights of this family.
    """
    if not some.shipped_members:
        raise ValueError(f"of the family {some.name} the zoo holds results and no weights: there is nothing to ship")
    weights: dict[str, Tensor] = {}
    for member in some.shipped_members:
        model = storage.load(some.run(member) / "model")
        weights |= {f"{member.name}/{name}": tensor for name, tensor in model.state_dict().items()}
    file = some.weights_file
    partial = file.with_suffix(".partial")
    storage.write_tensors(weights, partial, half=True)
    partial.replace(file)
    return file


def measure(some: Family, members: Sequence[Member], out: Path) -> None:
    """Measure members and enter the numbers beside those of the others.

    Each member is measured from the shipped weights. Where only results are shipped, its run is, after training it.
    """
    for member in members:
        numbers, tensors = some.measure(trained(some, member))
        # Read now and not before: another process may measure another share of the members.
        known: dict[str, Any] = storage.read_json(out)["members"] if out.exists() else {}
        kept: dict[str, Tensor] = some.pictures() if (FOLDER / f"{some.name}-pictures.safetensors").exists() else {}
        known[member.name] = {
            "setting": member.setting,
            "kind": member.kind,
            "value": member.value,
            "seed": member.seed,
            **numbers,
        }
        kept |= {f"{member.name}/{name}": tensor for name, tensor in tensors.items()}
        write(some, known, kept, out)
        say(f"{member.name}: " + ", ".join(f"{name} {_short(value)}" for name, value in numbers.items()))


def trained(some: Family, member: Member) -> Model:
    """The member as shipped, else as its run left it, else trained now."""
    try:
        return some.load(member.name)
    except FileNotFoundError:
        train_members(some, [member])
        return storage.load(some.run(member) / "model")


def write(some: Family, known: dict[str, Any], kept: dict[str, Tensor], out: Path) -> None:
    """The results, whole or not at all; pictures go beside the results that the zoo ships."""
    order = [member.name for member in some.members if member.name in known]
    record = {
        "family": some.name,
        "about": some.about,
        "versions": dict(zip(("vaelib", "torch"), current_versions(), strict=False)),
        "members": {name: known[name] for name in order},
    }
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(out)
    if kept and out == some.results_file:
        pictures = FOLDER / f"{some.name}-pictures.safetensors"
        save_file({name: kept[name].contiguous() for name in sorted(kept)}, pictures.with_suffix(".partial"))
        pictures.with_suffix(".partial").replace(pictures)


def part(text: str) -> tuple[int, int]:
    """ "1/2" → (1, 2)."""
    share, slash, shares = text.partition("/")
    if not (slash and share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares)):
        raise ValueError(f"--part should be such as 1/2 or 2/2, not {text!r}")
    return int(share), int(shares)


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.zoo.families", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("verb", choices=("train", "ship", "measure"))
    parser.add_argument("family", choices=names())
    parser.add_argument("--only", metavar="MEMBER", nargs="+", help="these members (default: all)")
    parser.add_argument("--part", metavar="I/N", default="1/1", help="the i-th of n shares: one for each process")
    parser.add_argument("--out", metavar="FILE", type=Path, help="measure: results (default: those of the zoo)")
    options = parser.parse_args(arguments)
    try:
        some = family(options.family)
        share, shares = part(options.part)
        members = [some.member(name) for name in options.only or [member.name for member in some.members]]
        members = members[share - 1 :: shares]
        if options.verb == "train":
            train_members(some, members)
        elif options.verb == "measure":
            measure(some, members, options.out or some.results_file)
        else:
            file = ship(some)
            print(f"{file.stat().st_size / 1e6:.1f} MB in {file}")
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
