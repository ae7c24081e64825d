"""Measure a trained model against its test data. Every number carries how it was made."""

import argparse
import json
import os
from typing import Any

from vaelib.commands.options import UsageError, at_least_one, output_file, positive, seed
from vaelib.commands.runs import add_data, add_run, held_out_images, note, open_trained, table

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
    parser.add_argument(
        "--features",
        metavar="NAME",
        default="efficientnet-lite0",
        help="network of the Fréchet and kernel distances; none leaves them out (default: efficientnet-lite0)",
    )
    parser.add_argument("--temperature", type=positive, default=1.0, metavar="X", help="of the samples (default: 1)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of every draw (default: 0)")
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write the numbers and their protocols to FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print a table and write the JSON."""
    from vaelib.config import near_miss, to_dict
    from vaelib.evaluation import FEATURES, evaluate

    features = None if options.features == "none" else options.features
    if features is not None and features not in FEATURES:
        known = [*FEATURES, "none"]
        raise UsageError(
            f"--features should be one of {', '.join(known)}, not {features!r}.{near_miss(features, known)}"
        )
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
        options.json.parent.mkdir(parents=True, exist_ok=True)
        partial = options.json.with_name(f".{options.json.name}.{os.getpid()}.partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(options.json)
        note(f"Written to {options.json}")
    return 0
