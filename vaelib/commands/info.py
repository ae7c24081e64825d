"""What a preset or a trained model is made of: settings, parameters by part, latents, cost."""

import argparse
from typing import TYPE_CHECKING, Any

from vaelib.commands.options import as_text, one_of, settings_table
from vaelib.profiles import PROFILES

if TYPE_CHECKING:
    from torch import nn

    from vaelib.models import Model

EXAMPLES = """
  vaelib info vae                    a preset, before training
  vaelib info vae --profile gpu      the same at full size
  vaelib info vae-faces              a run, by name or folder
  vaelib info zoo:vae-faces64        a model of the zoo
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib info`."""
    parser.add_argument(
        "source", metavar="NAME", nargs="?", help="a preset, a run, a folder or zoo:NAME (default: the newest run)"
    )
    parser.add_argument(
        "--profile",
        type=one_of(PROFILES),
        metavar="PROFILE",
        help="size of a preset: smoke, cpu or gpu (default: VAELIB_PROFILE, else cpu)",
    )


def run(options: argparse.Namespace) -> int:
    """Print what there is to know."""
    from vaelib.commands.runs import open_trained, runs_with_models, shape_text, table
    from vaelib.config import near_miss
    from vaelib.profiles import profile
    from vaelib.training import PRESETS, preset

    card: dict[str, Any] = {}
    if options.source in PRESETS:
        model = preset(options.source, options.profile or profile()).build()
    else:
        try:
            trained = open_trained(options.source)
        except FileNotFoundError as error:
            if options.source is None or "/" in options.source or options.source.startswith("zoo:"):
                raise
            names = [*PRESETS, *(run.name for run in runs_with_models())]
            raise FileNotFoundError(
                f"there is no preset, run or folder {options.source!r}; presets are {', '.join(PRESETS)}."
                f"{near_miss(options.source, names)}"
            ) from error
        model, card = trained.model, trained.card

    print(f"{type(model).__name__} ({model.kind}), images {shape_text(model.config.image_shape)}")
    print("\nsettings\n" + table(settings_table(model.config)))
    counts = parameters_by_part(model)
    rows = [(name, f"{count:>12,}") for name, count in [*counts.items(), ("all", sum(counts.values()))]]
    print("\nparameters\n" + table(rows))
    bytes_ = sum(tensor.nbytes for tensor in model.state_dict().values())
    cost = [("latents", f"{model.config.latent_dimension}"), ("weights in memory", f"{bytes_ / 1e6:.1f} MB")]
    cost += [(f"{part}, one image", f"{count / 1e6:,.1f} MFLOP") for part, count in forward_flops(model).items()]
    metrics = card.get("metrics")
    if speed := metrics.get("images_per_second") if isinstance(metrics, dict) else None:
        cost.append(("training", f"{speed:,.0f} images/s on {card.get('hardware', 'an unknown machine')}"))
    print("\ncost\n" + table(cost))
    print("  A training step takes about three times the forward pass. Multiplications and additions count as two.")
    card.pop("model", None)  # the settings above
    if card:
        print("\ncard\n" + table(flat(card)))
    return 0


def parameters_by_part(model: "nn.Module") -> dict[str, int]:
    """How many learned numbers each part has, parts without any left out."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    counts |= {name: p.numel() for name, p in model.named_parameters(recurse=False)}
    return {name: count for name, count in counts.items() if count}


def forward_flops(model: "Model") -> dict[str, int]:
    """Floating-point operations of encoding and of decoding one image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vaelib.models import ConditionalVAE

    counts: dict[str, int] = {}
    if isinstance(model, ConditionalVAE):
        model = model.given((0,) * len(model.config.label_sizes))  # any label costs the same
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            code = model.encode(torch.zeros(1, *model.config.image_shape, device=model.device)).mean
        counts["encoding"] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            model.decode(code)
        counts["decoding"] = counter.get_total_flops()
    return counts


def flat(card: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as 'outer.inner', written for people."""
    rows: list[tuple[str, str]] = []
    for name, value in card.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, f"{value:.6g}" if isinstance(value, float) else as_text(value)))
    return rows
