"""List the data sets, show the card of one, or look at its pictures."""

import argparse
from typing import Any

from vaelib.commands.options import at_least_one, one_of, output_file

EXAMPLES = """
  vaelib data                                  the catalogue
  vaelib data faces                            the card: source, licence, consent, known bias
  vaelib data faces --grid faces.png -n 100    the first hundred as one picture
  vaelib data folder:~/pictures --grid mine.png
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib data`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a data set, or folder:PATH (default: list them all)")
    parser.add_argument("--grid", metavar="FILE", type=output_file, help="write pictures of the set to FILE, a PNG")
    parser.add_argument("-n", "--count", type=at_least_one, default=64, metavar="N", help="how many (default: 64)")
    parser.add_argument(
        "--split",
        type=one_of(("train", "validation", "test")),
        default="train",
        metavar="SPLIT",
        help="which part: train, validation or test (default: train)",
    )
    parser.add_argument("--size", type=at_least_one, metavar="N", help="side in pixels (default: the set's own)")
    parser.add_argument("--crop", metavar="NAME", help="a published crop, where the card lists any")


def run(options: argparse.Namespace) -> int:
    """Print the catalogue or a card, and write the grid."""
    from vaelib import data
    from vaelib.commands.runs import check_data, load_at_most, note, shape_text, table

    if options.name is None:
        rows = [("name", "image", "pictures", "what")]
        for name, card in data.cards().items():
            shape = shape_text(card.shape) if all(card.shape) else "any"
            rows.append((name, shape, f"{sum(card.splits.values()):,}" if card.splits else "varies", card.title))
        print(table(rows, indent=""))
        print(f"\nvaelib data NAME shows a card. Downloads are kept in {data.cache_folder()}")
        return 0
    check_data(options.name)
    if options.grid is None:
        print(data.card(options.name).text())
        return 0
    import math

    from vaelib.commands.pictures import grid, write_png

    images = load_at_most(options.name, options.split, options.count, size=options.size, crop=options.crop)
    write_png(grid(images.batch(slice(None)).images, columns=math.ceil(math.sqrt(len(images)))), options.grid)
    note(f"{len(images)} pictures of {options.name} ({options.split}) in {options.grid}")
    return 0
