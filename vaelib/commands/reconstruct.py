"""Send pictures through a trained model and show each above what came back."""

import argparse
from pathlib import Path
from typing import Any

from vaelib.commands.options import at_least_one, output_file
from vaelib.commands.runs import add_data, add_label, add_run, held_out_images, label_rows, note, open_trained

EXAMPLES = """
  vaelib reconstruct                              eight test images through the newest run
  vaelib reconstruct vae-faces --image me.jpg     a picture of your own, cropped to a square
  vaelib reconstruct conditional-vae-digits --image seven.png --label 7
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib reconstruct`."""
    add_run(parser)
    add_data(parser)
    parser.add_argument("--image", metavar="FILE", type=Path, nargs="+", help="pictures of your own instead")
    add_label(parser, "what a conditional model is told that all pictures show (default: the data's own labels)")
    parser.add_argument("-n", "--count", type=at_least_one, default=8, metavar="N", help="how many (default: 8)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=output_file,
        default=Path("reconstructions.png"),
        help="where to write: originals above, reconstructions below (default: reconstructions.png)",
    )


def run(options: argparse.Namespace) -> int:
    """Reconstruct, write the picture and say how large the error is."""
    import torch

    from vaelib.commands.pictures import pairs, read_picture, write_png
    from vaelib.data import Batch
    from vaelib.models import ConditionalVAE

    trained = open_trained(options.run)
    model = trained.model
    if options.image:
        batch = Batch(torch.stack([read_picture(file, model.config.image_shape) for file in options.image]))
    else:
        images = held_out_images(trained, options.data, options.crop, options.count)
        batch = images.batch(slice(0, options.count))
    originals = batch.images
    labels = label_rows(trained, options.label, len(originals))
    if isinstance(model, ConditionalVAE):
        labels = batch.labels if labels is None else labels
        if labels is None:
            raise ValueError(
                f"{trained.source} is conditional, and these pictures have no labels: say what they show with --label"
            )
        reconstructions = model.reconstruct(originals, labels).cpu()
    else:
        reconstructions = model.reconstruct(originals).cpu()
    write_png(pairs(originals, reconstructions), options.out)
    error = (originals - reconstructions).square().mean().sqrt().item()
    note(f"{len(originals)} pictures in {options.out}; root mean squared error {255 * error:.1f} grey levels of 255")
    return 0
