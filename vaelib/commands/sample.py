"""Draw new pictures from a trained model: a latent from the prior, then the decoder's mean."""

import argparse
import math
from pathlib import Path
from typing import Any

from vaelib.commands.options import at_least_one, output_file, output_folder, positive, seed
from vaelib.commands.runs import add_label, add_run, label_rows, note, open_trained

EXAMPLES = """
  vaelib sample                                   64 pictures from the newest run into samples.png
  vaelib sample vae-faces -n 16 --temperature 0.7 safer and less varied
  vaelib sample zoo:vae-faces64 --folder faces/   one file for each picture
  vaelib sample conditional-vae-digits --label 7  sevens, from a conditional model
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib sample`."""
    add_run(parser)
    add_label(parser, "what a conditional model is to draw; 7, or one for each factor (default: labels drawn evenly)")
    parser.add_argument("-n", "--count", type=at_least_one, default=64, metavar="N", help="how many (default: 64)")
    parser.add_argument(
        "--temperature",
        type=positive,
        default=1.0,
        metavar="X",
        help="factor on the prior's standard deviation; below 1, samples are safer and less varied (default: 1)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of the draw; same seed, same pictures (default: 0)"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=output_file, help="the grid, a PNG (default: samples.png, or none with --folder)"
    )
    parser.add_argument(
        "--folder", metavar="DIR", type=output_folder, help="also write each picture as a PNG of its own into DIR"
    )


def run(options: argparse.Namespace) -> int:
    """Draw, and write the grid and the single pictures."""
    import torch

    from vaelib.commands.pictures import grid, write_png

    trained = open_trained(options.run)
    model = trained.model
    try:
        model.check_sampling()
    except TypeError as error:
        raise ValueError(f"{trained.source}: {error}") from error
    generator = torch.Generator().manual_seed(options.seed)
    labels = label_rows(trained, options.label, options.count)
    given: dict[str, Any] = {} if labels is None else {"labels": labels}
    images = model.sample(options.count, temperature=options.temperature, generator=generator, **given)
    if options.folder:
        digits = len(str(options.count - 1))
        for index, image in enumerate(images):
            write_png(image, options.folder / f"{index:0{digits}d}.png")
        note(f"{options.count} pictures in {options.folder}")
    out = options.out or (None if options.folder else Path("samples.png"))
    if out:
        write_png(grid(images, columns=math.ceil(math.sqrt(options.count))), out)
        note(f"{options.count} pictures in {out}")
    return 0
