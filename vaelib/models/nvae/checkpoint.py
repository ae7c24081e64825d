"""Published NVAE weights: a file of the authors' layout → our model, whole or not at all."""

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelib.models.nvae.cells import MConv
from vaelib.models.nvae.config import CellTypes, NVAEConfig, adaptive_groups
from vaelib.models.nvae.likelihoods import SoftClampedNormalLikelihood
from vaelib.models.nvae.model import NVAE
from vaelib.probability.bernoulli import BernoulliLikelihood
from vaelib.probability.likelihood import Likelihood
from vaelib.probability.logistic_mixture import LogisticMixtureLikelihood

# Our name of a place of cells → theirs.
CELL_PLACES = {
    "normal_encoder": "normal_enc",
    "down_encoder": "down_enc",
    "normal_decoder": "normal_dec",
    "up_decoder": "up_dec",
    "normal_pre": "normal_pre",
    "down_pre": "down_pre",
    "normal_post": "normal_post",
    "up_post": "up_post",
}

# Parts of our names → theirs, tried in this order; `mconv` below has its own table.
NAMES = (
    (r"^top_feature$", "prior_ftr0"),
    (r"^encoder_tower\.", "enc_tower."),
    (r"^decoder_tower\.", "dec_tower."),
    (r"^encoder_top\.", "enc0."),
    (r"^posterior_heads\.", "enc_sampler."),
    (r"^prior_heads\.", "dec_sampler."),
    (r"^decoder_stem\.", "stem_decoder."),
    (r"\.squeeze_excite\.squeeze\.", ".se.se.0."),
    (r"\.squeeze_excite\.excite\.", ".se.se.2."),
    (r"\.skip\.conv\.", ".skip.1."),
    (r"(_ops\.\d+)\.norm\.", r"\1.bn_act."),
    (r"(_ops\.\d+)\.conv\.(weight|bias|log_length)", r"\1.conv_0.\2"),
    (r"\.reading\.", ".cell1."),
    (r"\.mirrored\.", ".cell2."),
    (r"\.spread\.", ".conv.convz.0."),
    (r"\.look_back\.", ".conv.convz.2."),
    (r"\.to_shift\.", ".mu.conv_0."),
    (r"\.log_length$", ".log_weight_norm"),
)
MCONV_PLACES = {
    "norm_input": (0, ""),
    "expand": (1, "conv.0."),
    "norm_expanded": (1, "conv.1."),
    "spatial": (2, "conv.0."),
    "norm_spatial": (2, "conv.1."),
    "project": (3, ""),
    "norm_output": (4, ""),
}

# Options of the published programs that leave the network and its likelihood as they are: where things lie, how the
# training went, on which machines.
IGNORED_OPTIONS = {
    *("dataset", "data", "root", "save", "epochs", "warmup_epochs", "batch_size", "seed"),
    *("learning_rate", "learning_rate_min", "weight_decay", "fast_adamax"),
    *("cont_training", "checkpoint", "eval_mode", "eval_on_train", "num_iw_samples", "temp", "readjust_bn"),
    "fid_dir",
    *("num_process_per_node", "num_proc_node", "node_rank", "local_rank", "global_rank"),
    *("distributed", "master_address", "master_port", "autocast", "num_workers"),
}
# Options that `config_of` reads.
READ_OPTIONS = {
    *("num_latent_scales", "num_groups_per_scale", "num_latent_per_group", "ada_groups", "min_groups_per_scale"),
    *("num_channels_enc", "num_channels_dec", "num_preprocess_blocks", "num_preprocess_cells"),
    *("num_postprocess_blocks", "num_postprocess_cells", "num_cell_per_cond_enc", "num_cell_per_cond_dec"),
    *("num_mixture_dec", "num_x_bits", "use_se", "res_dist", "num_nf", "arch_instance"),
    *("weight_decay_norm", "weight_decay_norm_anneal", "weight_decay_norm_init"),
    *("kl_anneal_portion", "kl_const_portion", "kl_const_coeff"),
}


def import_checkpoint(path: str | Path) -> NVAE:
    """The NVAE in a checkpoint of the published layout, in eval mode, on the CPU.

    The file is a pickle. It is read without running any code of its own: tensors, plain values and the
    `argparse.Namespace` of the options are all that it may hold.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no NVAE checkpoint, was cut short, holds code, has options that NVAE here does not know, or
            weights that do not fit its options. Nothing is guessed: every tensor of the file is used, except for
            `*.weight_normalized`, which is computed from others.
    """
    stored = _read(Path(path).expanduser())
    weights = {name: tensor for name, tensor in stored["state_dict"].items() if not name.endswith(".weight_normalized")}
    try:
        config = config_of(vars(stored["args"]), stored.get("arch_instance"), weights)
        with torch.random.fork_rng(devices=[]):
            model = NVAE(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} describes an NVAE that is not known here: {error}") from error
    if config.single_group:
        weights.pop("prior_ftr0", None)  # without a tower, nothing starts from it
    _fill(model, weights, path)
    return model.eval()


def published_options(path: str | Path) -> dict[str, Any]:
    """The options in a published checkpoint that are plain values, for the card of a model. Raises as the import."""
    options = vars(_read(Path(path).expanduser())["args"])
    return {name: value for name, value in options.items() if isinstance(value, bool | int | float | str | None)}


def _read(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionary, with the parts that are needed."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|global|class|function)\s+`?([\w.]+)", str(error))
        if zipped or "GLOBAL" in str(error) or "nsupported global" in str(error):
            what = f" ({found.group(1)})" if found else ""
            raise ValueError(
                f"{path} holds more than weights and options{what}: code in its pickle, which was not run. Published "
                "checkpoints have none; do not trust this file"
            ) from error
        raise ValueError(f"{path} is no PyTorch file, so no NVAE checkpoint") from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = "was cut short or is damaged: download it again" if zipped else "is no PyTorch file, or was cut short"
        raise ValueError(f"{path} {reason}") from error
    except Exception as error:  # a reader of arbitrary bytes may fail in any way
        raise ValueError(f"{path} is no PyTorch file, so no NVAE checkpoint ({type(error).__name__})") from error
    if not isinstance(stored, dict) or not {"state_dict", "args"} <= stored.keys():
        names = ", ".join(map(str, list(stored)[:5])) if isinstance(stored, dict) else type(stored).__name__
        raise ValueError(f"{path} is no NVAE checkpoint: it should have 'state_dict' and 'args', and has {names}")
    if not isinstance(stored["args"], argparse.Namespace) or not isinstance(stored["state_dict"], Mapping):
        raise ValueError(f"{path} is no NVAE checkpoint: 'args' should be options, and 'state_dict' tensors by name")
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in stored["state_dict"].items()):
        raise ValueError(f"{path} is no NVAE checkpoint: its 'state_dict' holds other things than tensors by name")
    return stored


def config_of(options: Mapping[str, Any], cells: Any, weights: Mapping[str, Tensor]) -> NVAEConfig:
    """Published options → our settings. The shape of the images comes from the weights, which cannot be wrong.

    Args:
        options: of the `argparse.Namespace`.
        cells: the operations of every place, as the checkpoint holds them.
        weights: by the published names.
    Raises:
        ValueError: an option is missing, or has a value that is not known.
    """

    def number(name: str) -> int:
        value = options.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"option {name} should be a whole number, not {value!r}")
        return value

    if unknown := sorted(map(str, options.keys() - READ_OPTIONS - IGNORED_OPTIONS)):
        raise ValueError(
            f"it has options that may change the network or its likelihood and are not known here: {', '.join(unknown)}"
        )
    if not {"stem.weight", "image_conditional.1.weight"} <= weights.keys():
        raise ValueError("its weights have no stem and no image conditional, so they are of another model")
    scales, finest = number("num_latent_scales"), number("num_groups_per_scale")
    groups = (finest,) * scales
    if options.get("ada_groups", False):
        groups = adaptive_groups(scales, finest, int(options.get("min_groups_per_scale", 1)))
    blocks = number("num_preprocess_blocks")
    if number("num_postprocess_blocks") != blocks:
        raise ValueError(f"it halves {blocks} times before the tower and doubles another number of times after it")
    channels, maps = weights["stem.weight"].shape[1], weights["image_conditional.1.weight"].shape[0]
    likelihood = _likelihood(channels, maps, int(options.get("num_mixture_dec", 10)), int(options.get("num_x_bits", 8)))
    binary = isinstance(likelihood, BernoulliLikelihood)
    if "prior_ftr0" in weights:
        side = weights["prior_ftr0"].shape[-1] * 2 ** (blocks + scales - 1)
    else:
        raise ValueError("its weights have no prior_ftr0, which says how large the images are")
    # Black-and-white sets are of 28×28 pixels, which the published loader pads.
    image_side = 28 if binary and side == 32 else side
    annealed = bool(options.get("weight_decay_norm_anneal", False))
    start = float(options.get("weight_decay_norm_init", 0.0)) if annealed else 0.0
    return NVAEConfig(
        image_shape=(channels, image_side, image_side),
        likelihood=likelihood,
        encoder_width=number("num_channels_enc"),
        decoder_width=number("num_channels_dec"),
        latent_channels=number("num_latent_per_group"),
        groups=groups,
        encoder_cells=number("num_cell_per_cond_enc"),
        decoder_cells=number("num_cell_per_cond_dec"),
        blocks=blocks,
        pre_cells=number("num_preprocess_cells"),
        post_cells=number("num_postprocess_cells"),
        cell_types=_cell_types(cells, options.get("arch_instance")),
        squeeze_excite=bool(options.get("use_se", False)),
        flows=number("num_nf"),
        residual_posterior=bool(options.get("res_dist", False)),
        padded_side=side,
        regularisation=float(options.get("weight_decay_norm", 0.0)),
        regularisation_start=start or None,
        kl_warmup=float(options.get("kl_anneal_portion", 0.3)),
        kl_constant_portion=float(options.get("kl_const_portion", 1e-4)),
        kl_constant=float(options.get("kl_const_coeff", 1e-4)),
    )


def _likelihood(channels: int, maps: int, components: int, bits: int) -> Likelihood:
    """The likelihood whose maps the image conditional gives."""
    mixture = LogisticMixtureLikelihood(components, bits, tails="nvae") if components > 1 else None
    for likelihood in (BernoulliLikelihood(), SoftClampedNormalLikelihood(), mixture):
        if likelihood is not None and likelihood.output_channels(channels) == maps:
            if isinstance(likelihood, BernoulliLikelihood) and channels > 1:
                continue
            return likelihood
    raise ValueError(f"{maps} maps are no image of {channels} channels under {components} components")


def _cell_types(cells: Any, name: Any) -> CellTypes:
    """The operations that the file lists; where it lists none, those of the default architecture by its name."""
    if not cells and name == "res_mbconv":
        return CellTypes()
    if not isinstance(cells, Mapping):
        raise ValueError(f"the architecture {name!r} is not known here, and the file does not list its operations")
    if missing := [theirs for theirs in CELL_PLACES.values() if theirs not in cells]:
        raise ValueError(f"the architecture {name!r} does not say what {', '.join(missing)} cells are made of")
    if unknown := sorted(map(str, cells.keys() - set(CELL_PLACES.values()) - {"ar_nn"})):
        raise ValueError(f"the architecture {name!r} has places that are not known here: {', '.join(unknown)}")
    if any(cells.get("ar_nn", ())):
        raise ValueError(f"the flow's networks {cells['ar_nn']!r} are not known here")
    return CellTypes(**{ours: tuple(cells[theirs]) for ours, theirs in CELL_PLACES.items()})


def published_name(model: NVAE, name: str) -> str:
    """The published name of a tensor of our state dict."""
    head, _, rest = name.partition(".operations.")
    if rest:
        position, place, *tail = rest.split(".")
        operation = model.get_submodule(f"{head}.operations.{position}")
        head = f"{head}._ops.{position}"
        if isinstance(operation, MConv):
            index, inner = MCONV_PLACES[place]
            name = f"{head}.conv.{index + operation.up}.{inner}{'.'.join(tail)}"
        else:
            name = ".".join((head, place, *tail))
    elif name.startswith("flows."):
        _, group, pair, inside = name.split(".", 3)
        name = f"nf_cells.{int(group) * model.config.flows + int(pair)}.{inside}"
    name = re.sub(r"\.skip\.quarters\.(\d)\.", lambda found: f".skip.conv_{int(found[1]) + 1}.", name)
    for ours, theirs in NAMES:
        name = re.sub(ours, theirs, name)
    return name


def _fill(model: NVAE, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy published weights into the model, or say by name what does not fit."""
    # In other releases batch norm has one more level in its name.
    weights = {re.sub(r"(\.conv\.\d)\.bn\.", r"\1.", name): tensor for name, tensor in weights.items()}
    state, complaints = model.state_dict(), []
    for ours, tensor in state.items():
        if ours.startswith("spectral_norms."):
            continue
        if ours.endswith(".waits_for_data"):
            tensor.fill_(False)  # the weights have seen data
            continue
        theirs = published_name(model, ours)
        if theirs not in weights:
            complaints.append(f"{theirs} is missing")
        elif weights[theirs].shape != tensor.shape:
            complaints.append(f"{theirs} is {tuple(weights[theirs].shape)} and should be {tuple(tensor.shape)}")
        else:
            tensor.copy_(weights[theirs])
            weights.pop(theirs)
            continue
        weights.pop(theirs, None)
    complaints += [f"{theirs} has no place" for theirs in weights]
    if complaints:
        rest = f" and {len(complaints) - 5} more" if len(complaints) > 5 else ""
        raise ValueError(f"the weights in {path} do not fit its options: {'; '.join(complaints[:5])}{rest}")
