"""Measure a trained model against its test data. Every number carries how it was made."""

import argparse
import json
from typing import Any

from vaelib.commands.options import at_least_one, output_file, positive, seed
from vaelib.commands.runs import (
    add_data,
    add_features,
    add_run,
    checked_features,
    held_out_images,
    note,
    open_trained,
    table,
    write_text,
)

EXAMPLES = """
  vaelib evaluate                                  the newest run, on the data it was trained on
  vaelib evaluate vae-faces --samples 10000        more samples, smaller bias
  vaelib evaluate zoo:vae-faces64 --json out.json  with the whole protocol of each number
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib evaluate`."""
    add_run(parser)
    add_data(parser)
    parser.add_argument(
        "--samples",
        type=at_least_one,
        default=2000,
        metavar="N",
        help="how many pictures of the model and of the test split (default: 2000)",
    )
    add_features(parser)
    parser.add_argument("--temperature", type=positive, default=1.0, metavar="X", help="of the samples (default: 1)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of every draw (default: 0)")
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write the numbers and their protocols to FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print a table and write the JSON."""
    from vaelib.config import to_dict
    from vaelib.evaluation import evaluate

    features = checked_features(options.features)
    trained = open_trained(options.run)
    images = held_out_images(trained, options.data, options.crop, options.samples)
    results = evaluate(
        trained.model,
        images,
        samples=options.samples,
        seed=options.seed,
        features=features,
        temperature=options.temperature,
    )
    print(table([(name, result.number(), str(result.protocol)) for name, result in results.items()], indent=""))
    print(f"\n{trained.source} on {images.name} ({images.split}), seed {options.seed}")
    print(f"images: {images.key}; temperature {options.temperature:g}")
    if options.json:
        values = {name: to_dict(result) for name, result in results.items()}
        text = json.dumps({"model": trained.source, "measurements": values}, indent=2, ensure_ascii=False)
        write_text(text + "\n", options.json)
        note(f"Written to {options.json}")
    return 0
