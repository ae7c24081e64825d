"""What a preset or a trained model is made of: settings, parameters by part, latents, cost."""

import argparse
from typing import TYPE_CHECKING, Any

from vaelib.commands.options import as_text, one_of, settings_table
from vaelib.profiles import PROFILES

if TYPE_CHECKING:
    from torch import nn

    from vaelib.models import Model
    from vaelib.training import Preset

EXAMPLES = """
  vaelib info vae                    a preset, before training
  vaelib info vae --profile gpu      the same at full size
  vaelib info nvae-celeba64          a published training: its cost in memory, hours, energy and money
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
    import torch

    from vaelib.commands.runs import open_trained, runs_with_models, shape_text, table
    from vaelib.config import near_miss
    from vaelib.models import NVAE
    from vaelib.profiles import profile
    from vaelib.training import PRESETS, preset

    card: dict[str, Any] = {}
    chosen: Preset | None = None
    model: Model
    if options.source in PRESETS:
        # A published training exists in one size, which is then the one that is meant.
        only = next(iter(PRESETS[options.source])) if len(PRESETS[options.source]) == 1 else profile()
        chosen = preset(options.source, options.profile or only)
        if chosen.kind == NVAE.kind:  # too large to be built for the asking
            with torch.device("meta"):
                model = NVAE(chosen.model)
        else:
            model, chosen = chosen.build(), None
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
    if chosen is not None:
        print_estimate(chosen)
        return 0
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


def print_estimate(chosen: "Preset") -> None:
    """What an untrained NVAE costs, counted without allocating it, and what its training may cost."""
    from vaelib.commands.runs import table
    from vaelib.evaluation import CostAssumptions, model_cost
    from vaelib.training import PUBLISHED_RUNS

    config, train = chosen.model, chosen.train
    mixed, single = model_cost(config), model_cost(config, mixed=False)
    rows = [("one image", f"{mixed.latents:,} numbers")]
    for scale, groups in enumerate(getattr(config, "groups", ())):
        side = config.scale_side(scale)
        numbers = groups * config.latent_channels * side**2
        rows.append((f"at {side}×{side}", f"{groups} groups, {numbers:,} numbers"))
    print("\nlatents\n" + table(rows))
    rows = [
        ("forward, one image", f"{mixed.forward_flops / 1e9:,.3f} GFLOP"),
        ("training step, one image", f"{mixed.training_flops / 1e9:,.3f} GFLOP: forward, and twice that backward"),
    ]
    if mixed.step_flops:
        rows.append(("each step", f"{mixed.step_flops / 1e9:,.1f} GFLOP more: forward part of the regularisation"))
    rows += [
        (
            "activations, one image",
            f"{mixed.activation_bytes / 1e6:,.1f} MB mixed, {single.activation_bytes / 1e6:,.1f} float32",
        ),
        ("kept, any batch", f"{mixed.shared_bytes / 1e6:,.1f} MB mixed, {single.shared_bytes / 1e6:,.1f} float32"),
        ("weights", f"{mixed.weight_bytes / 1e6:,.1f} MB"),
        ("gradients and moments", f"{mixed.optimiser_bytes / 1e6:,.1f} MB"),
    ]
    print("\ncost\n" + table(rows))
    print("  FLOPs are those of matrix products and convolutions; a multiplication and an addition count as two.")
    print("  Memory is what the backward pass needs; work space of the libraries comes on top.")
    assumed = CostAssumptions()
    images = train.steps * train.images_per_step
    flops = images * mixed.training_flops + train.steps * mixed.step_flops
    hours = assumed.gpu_hours(flops)
    rows = [("images", f"{images:,} in {train.steps:,} steps of {train.images_per_step}"), ("FLOPs", f"{flops:.2e}")]
    if known := PUBLISHED_RUNS.get(chosen.name):
        hours = known.gpu_hours
        rows.append(
            ("GPU-hours", f"{hours:,.0f}: {known.gpus} V100 for {known.hours:.0f} h (README of the public code)")
        )
    else:
        share = f"{100 * assumed.utilisation:.0f} % of {assumed.peak_flops / 1e12:.0f} TFLOP/s"
        rows.append(("GPU-hours", f"{hours:,.2f}, if one {assumed.gpu} does {share}"))
    energy, price = assumed.kilowatt_hours(hours), assumed.price(hours)
    rows += [
        ("energy", f"{energy:,.2f} kWh = GPU-hours · {assumed.watts:.0f} W · {assumed.overhead:g} for all around it"),
        ("money", f"{price:,.2f} {assumed.currency} = GPU-hours · {assumed.price_per_gpu_hour:g}"),
    ]
    print("\ntraining\n" + table(rows))
    print("  Watts, what is around a GPU, its share of the peak and its price are assumptions, not measurements.")


def parameters_by_part(model: "nn.Module") -> dict[str, int]:
    """How many learned numbers each part has, parts without any left out."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    counts |= {name: p.numel() for name, p in model.named_parameters(recurse=False)}
    return {name: count for name, count in counts.items() if count}


def forward_flops(model: "Model") -> dict[str, int]:
    """Floating-point operations of encoding and of decoding one image."""
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vaelib.evaluation.inputs import is_hierarchical
    from vaelib.models import ConditionalVAE

    counts: dict[str, int] = {}
    # The counter hooks into every input that wants a gradient, and fails at a view of a parameter under no_grad.
    model = copy.deepcopy(model).requires_grad_(False)
    if isinstance(model, ConditionalVAE):
        model = model.given((0,) * len(model.config.label_sizes))  # any label costs the same
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            encoded: Any = model.encode(torch.zeros(1, *model.config.image_shape, device=model.device))
            code = encoded.latents if is_hierarchical(model) else encoded.mean
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
