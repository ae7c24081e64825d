"""Measure several trained models with the same images, beside images that took no model to make."""

import argparse
import itertools
import shlex
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from vaelib.commands.options import UsageError, at_least_one, output_file, seed
from vaelib.commands.runs import add_data, add_features, check_writable, checked_features, note, write_text

if TYPE_CHECKING:
    from vaelib.commands.runs import Trained
    from vaelib.data import ImageSet
    from vaelib.evaluation.comparison import Comparison
    from vaelib.evaluation.tables import Entry, Table

TRAINING = 20_000
"""Training images that the floors are made from at most: a hundred components need no more, and memory has an end."""

PIXELS = 2**17
"""How many pixels the samples of a model in the report have at most, or eight pictures: 32 of 64 × 64."""

WIDTH = 24
"""Of a column in the terminal: what is longer goes on in the next line."""

EXAMPLES = """
  vaelib compare zoo:vae-faces64 zoo:nvae-faces64 --out report.html   a page to hand to a colleague
  vaelib compare vae=runs/vae-0,runs/vae-1 wae=runs/wae-0,runs/wae-1  runs with other seeds, with their spread
  vaelib compare runs/a runs/b --samples 2000 --json numbers.json     sooner, with a larger bias and larger errors
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib compare`."""
    parser.add_argument(
        "models",
        metavar="CKPT",
        nargs="+",
        help="a run, by name or folder; a saved model; zoo:NAME; or NAME=CKPT,CKPT for several runs of one model (runs "
        "whose cards differ in the seed alone are put together)",
    )
    add_data(parser)
    parser.add_argument(
        "--samples",
        type=at_least_one,
        default=10_000,
        metavar="N",
        help="how many pictures of each model and of the test split; no more than that has (default: 10000)",
    )
    add_features(parser)
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of every draw (default: 0)")
    parser.add_argument(
        "--out", metavar="FILE", type=output_file, help="also write a report with pictures to FILE, one HTML page"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write all numbers and their protocols to FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables, write the report and the JSON."""
    from vaelib.commands.entrants import open_entrants, whole_card
    from vaelib.evaluation.compare import Entrant, compare

    features = checked_features(options.features)
    outputs = [file for file in (options.out, options.json) if file]
    if len({file.resolve() for file in outputs}) < len(outputs):
        raise UsageError(f"--out and --json both name {options.out}: give each a file of its own")
    for file in outputs:
        check_writable(file)
    entrants = open_entrants(options.models)
    data, training = shared_images([run for runs in entrants.values() for run in runs], options.data, options.crop)
    models = {
        name: [Entrant(run.model, run.source, whole_card(run)) for run in runs] for name, runs in entrants.items()
    }
    comparison = compare(models, data, training, samples=options.samples, seed=options.seed, features=features)
    print(in_text(comparison))
    if options.json:
        write_text(comparison.to_json() + "\n", options.json)
        note(f"Written to {options.json}")
    if options.out:
        first = {name: runs[0] for name, runs in entrants.items()}
        write_text(page(comparison, first, data, training, again(options)), options.out)
        note(f"Written to {options.out}")
    return 0


def shared_images(models: list["Trained"], data: str | None, crop: str | None) -> tuple["ImageSet", "ImageSet"]:
    """The test images that all are measured with, and training images for the floors.

    Raises:
        ValueError: the models were trained on different data and the user named none, or the images do not fit.
    """
    from vaelib.commands.runs import held_out_images, load_at_most

    for what in () if data else ("dataset", "crop"):
        told = {str(each.card.get(what)): each.source for each in models}
        if len(told) > 1 and (what == "dataset" or crop is None):
            (one, first), (other, second) = list(told.items())[:2]
            raise ValueError(
                f"{first} was trained on {what} {one} and {second} on {other}: choose the images to compare with by "
                "--data, and --crop where they have one"
            )
    test = held_out_images(models[0], data, crop, None)
    training = load_at_most(test.name, "train", TRAINING, size=test.image_shape[-1], crop=test.crop)
    return test, training


def in_text(comparison: "Comparison") -> str:
    """The tables for a terminal, and how the numbers were made."""
    from vaelib.evaluation.tables import LEGEND, circumstances, protocols, tables

    parts = [*map(_table, tables(comparison)), f"{LEGEND} The mark is *."]
    parts.append(_listed("How the numbers were made", circumstances(comparison)))
    parts.append(_listed("Number by number", protocols(comparison)))
    floors = [(each.name, each.description) for each in comparison.subjects if each.kind == "floor"]
    parts.append(_listed("Floors", floors))
    return "\n\n".join(parts)


def _table(table: "Table") -> str:
    """Models, a gap, floors; what is wider than the terminal goes on below."""
    columns = [
        [textwrap.wrap(heading, WIDTH), *(_entry(row.entries[place]) for row in table.rows)]
        for place, heading in enumerate(table.headings)
    ]
    names: list[list[str]] = [[], *([row.subject.name] for row in table.rows)]
    room = shutil.get_terminal_size((110, 24)).columns
    parts = [f"{table.title}. {table.remark}"]
    while columns:
        taken = 1
        while taken < len(columns) and _width([names, *columns[: taken + 1]]) <= room:
            taken += 1
        parts.append(_part(table, [names, *columns[:taken]]))
        columns = columns[taken:]
    return "\n\n".join(parts)


def _entry(entry: "Entry") -> list[str]:
    star = " *" if entry.best else ""
    return [*textwrap.wrap(entry.text + star, WIDTH), *textwrap.wrap(entry.spread, WIDTH)]


def _width(columns: Sequence[Sequence[Sequence[str]]]) -> int:
    return sum(2 + max(len(line) for cell in column for line in cell or [""]) for column in columns)


def _part(table: "Table", columns: Sequence[Sequence[Sequence[str]]]) -> str:
    """Some columns of a table, whose cells may have several lines."""
    from vaelib.commands.runs import table as lined_up

    heading, *rows = zip(*columns, strict=True)
    height = max(map(len, heading))
    lines = list(zip(*([*[""] * (height - len(cell)), *cell] for cell in heading), strict=True))
    kinds = [row.subject.kind for row in table.rows]
    above = kinds[0]
    for kind, row in zip(kinds, rows, strict=True):
        if not any(row[1:]):
            continue  # it has none of these numbers
        if kind != above:
            lines.append(tuple("" for _ in row))
        above = kind
        lines += itertools.zip_longest(*row, fillvalue="")
    return lined_up(lines, indent="")


def _listed(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    lines = (
        textwrap.fill(f"{term}: {text}", 110, initial_indent="  ", subsequent_indent="    ") for term, text in pairs
    )
    return "\n".join([title, *lines])


def again(options: argparse.Namespace) -> str:
    """The command that was typed, an option to a line, without the file of numbers."""
    lines = [" ".join(["vaelib compare", *map(shlex.quote, options.models)])]
    for name in ("data", "crop", "samples", "features", "seed"):
        value = getattr(options, name)
        if value is not None:
            lines.append(f"--{name} {shlex.quote(str(value))}")
    return " \\\n  ".join([*lines, f"--out {shlex.quote(options.out.name)}"])


def page(
    comparison: "Comparison", models: Mapping[str, "Trained"], data: "ImageSet", training: "ImageSet", command: str
) -> str:
    """The report, with pictures of the first run of each model."""
    from vaelib.evaluation.compare import gallery
    from vaelib.evaluation.floors import floor_images
    from vaelib.visual.comparison_page import COLUMNS, comparison_page

    count = max(COLUMNS, min(32, PIXELS // prod(data.image_shape[1:])))
    originals = min(COLUMNS, len(data))
    galleries = {
        name: gallery(trained.model, data, samples=count, originals=originals, seed=comparison.seed)
        for name, trained in models.items()
    }
    floors = {
        floor.name: floor_images(floor.name, data, training, samples=comparison.samples, seed=comparison.seed)[:COLUMNS]
        for floor in comparison.subjects
        if floor.kind == "floor"
    }
    names = ", ".join(models)
    return comparison_page(comparison, galleries, floors=floors, title=f"Compared: {names}", command=command)
