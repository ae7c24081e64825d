"""Training an NVAE: exact resuming, culprits named, checkpointed activations, compiled cells, data-dependent starts."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_setup import assert_same_weights, noise, small_model

import vaelib
from vaelib.models import Batch, Model, Progress
from vaelib.models.nvae import NVAE, CellTypes, NVAEConfig
from vaelib.models.nvae.cells import Cell, WeightNormConv2d
from vaelib.probability import LogisticMixtureLikelihood
from vaelib.training import NonFiniteError, TrainConfig, train

CONFIG = NVAEConfig(
    image_shape=(3, 16, 16),
    encoder_width=4,
    decoder_width=4,
    latent_channels=2,
    groups=(1, 1),
    pre_cells=1,
    post_cells=1,
    flows=1,
    likelihood=LogisticMixtureLikelihood(components=2),
)
TRAIN = TrainConfig(
    steps=6,
    batch_size=4,
    optimiser="adamax",
    epsilon=1e-3,
    precision="float32",
    ema_decay=0.9,
    log_every=1,
    checkpoint_every=2,
)


def tiny(**options) -> NVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NVAE(dataclasses.replace(CONFIG, **options))


class Crash(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_died_and_was_resumed_ends_with_the_same_bits(precision: str, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, precision=precision)

    def crash(model: Model, row: dict[str, float]) -> None:
        if row["step"] == 5:
            raise Crash

    with pytest.raises(Crash):
        train(tiny(), noise(12), config, run=tmp_path / "died", callback=crash)
    resumed = train(tiny(), noise(12), config, run=tmp_path / "died")
    whole = train(tiny(), noise(12), config)
    assert_same_weights(resumed.model, whole.model)  # spectral vectors included: they are buffers
    assert bool(whole.model.spectral_norms.started)
    last = whole.history.last()
    assert {"train/beta", "train/spectral_norms", "train/kl_4x4_0", "train/kl_8x8_1"} <= last.keys()
    assert all(value == value for value in last.values())
    assert_same_weights(vaelib.load(tmp_path / "died"), whole.model)


def layers() -> list[str]:
    """Every module that has parameters of its own."""
    return [name for name, module in tiny().named_modules() if name and list(module.parameters(recurse=False))]


@pytest.mark.parametrize("layer", layers())
def test_a_nan_in_any_layer_stops_training_with_its_name(layer: str) -> None:
    model = tiny()
    name, weight = next(model.get_submodule(layer).named_parameters(recurse=False))
    with torch.no_grad():
        weight.view(-1)[0] = float("nan")
    with pytest.raises(NonFiniteError) as raised:
        train(model, noise(4), dataclasses.replace(TRAIN, steps=1))
    message = str(raised.value)
    assert f"layer '{layer}' ({type(model.get_submodule(layer)).__name__})" in message
    assert f"weights that are not finite ({name})" in message


def test_a_nan_in_the_constant_from_which_the_decoder_starts_is_named_too() -> None:
    model = tiny()
    with torch.no_grad():
        model.top_feature[0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="the model's own top_feature is not finite"):
        train(model, noise(4), dataclasses.replace(TRAIN, steps=1))


def test_a_nan_in_a_spectral_vector_is_named() -> None:
    model = tiny()
    next(model.spectral_norms.buffers()).fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"layer 'spectral_norms' \(SpectralNorms\)"):
        train(model, noise(4), dataclasses.replace(TRAIN, steps=1))


MIXED = CellTypes(normal_decoder=("res_elu",), up_decoder=("mconv_e2k3g2",), normal_encoder=("res_elu", "res_bnelu"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_checkpointed_activations_change_neither_gradients_nor_averages(precision: str) -> None:
    answers = []
    for checkpointing in (False, True):
        model = tiny(cell_types=MIXED).train()
        model.checkpoint_activations = checkpointing
        kept: list[Tensor] = []
        torch.manual_seed(3)
        with (
            torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x) or x, lambda x: x),
            torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            loss = model.loss(noise(6).batch(slice(None)), Progress(3, 10, 6)).total
        loss.backward()
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        answers.append((loss.detach(), gradients, model.state_dict(), sum(x.numel() for x in kept)))
    (loss, gradients, state, memory), (other_loss, others, other_state, less) = answers
    assert torch.equal(loss, other_loss)
    assert [name for name in gradients if not torch.equal(gradients[name], others[name])] == []
    assert [name for name in state if not torch.equal(state[name], other_state[name])] == []
    assert less < 0.7 * memory


def test_checkpointing_is_a_setting_of_training_that_changes_no_result(tmp_path: Path) -> None:
    short = dataclasses.replace(TRAIN, steps=2)
    saving = dataclasses.replace(short, checkpoint_activations=True)
    seen = []
    first = train(
        tiny(),
        noise(4),
        saving,
        run=tmp_path / "run",
        callback=lambda model, _: seen.append(model.checkpoint_activations),
    ).model
    assert seen == [True, True]
    assert not first.checkpoint_activations
    assert_same_weights(first, train(tiny(), noise(4), short).model)
    train(tiny(), noise(4), short, run=tmp_path / "run")  # so a run may be resumed without
    with pytest.raises(ValueError, match="checkpoint_activations=True is for an NVAE; this MortalVAE keeps all"):
        train(small_model(), noise(16), TrainConfig(batch_size=16, checkpoint_activations=True))
    with pytest.raises(ValueError, match="checkpoint_activations or compile"):
        train(tiny(), noise(4), dataclasses.replace(saving, compile=True))


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="this torch cannot pretend to compile")
def test_the_cells_are_what_is_compiled() -> None:
    compiled = []

    def callback(model: Model, row: dict[str, float]) -> None:
        cells = [module for module in model.modules() if isinstance(module, Cell)]
        compiled.append(bool(cells) and all(cell._compiled_call_impl is not None for cell in cells))

    short = dataclasses.replace(TRAIN, steps=1)
    with torch.compiler.set_stance("force_eager"):
        model = train(tiny(), noise(4), dataclasses.replace(short, compile=True), callback=callback).model
    assert compiled == [True]
    assert all(module._compiled_call_impl is None for module in model.modules())
    assert_same_weights(model, train(tiny(), noise(4), short).model)


def test_res_elu_starts_from_its_first_training_batch_and_from_no_other() -> None:
    model = tiny(cell_types=MIXED)
    waiting = [m for m in model.modules() if isinstance(m, WeightNormConv2d) and m.waits_for_data is not None]
    assert waiting
    model.reconstruct(noise(4).batch(slice(None)).images)
    assert all(conv.waits_for_data for conv in waiting)  # looking at a model starts nothing
    out: dict[nn.Module, Tensor] = {}
    hooks = [c.register_forward_hook(lambda conv, _, output: out.setdefault(conv, output.detach())) for c in waiting]
    # Its last step leaves the weights nearly where the first batch put them.
    trained = train(model, noise(4), dataclasses.replace(TRAIN, steps=1, learning_rate=1e-9, ema_decay=0.0)).model
    for hook in hooks:
        hook.remove()
    for conv in waiting:
        deviations = out[conv].std(dim=(0, 2, 3))
        torch.testing.assert_close(out[conv].mean(dim=(0, 2, 3)), torch.zeros(len(deviations)), atol=2e-3, rtol=0)
        torch.testing.assert_close(deviations, torch.full((len(deviations),), 0.2), atol=2e-3, rtol=0)
        assert not conv.waits_for_data
    lengths = [conv.log_length.clone() for conv in waiting]
    trained.train()
    trained.loss(Batch(noise(4, seed=9).batch(slice(None)).images), Progress(1, 2, 4))
    assert all(torch.equal(conv.log_length, length) for conv, length in zip(waiting, lengths, strict=True))


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: training an NVAE on a GPU was NOT tested here"
)
def test_a_gpu_trains_and_logs_every_term() -> None:
    result = train(tiny(), noise(8), dataclasses.replace(TRAIN, precision="auto"), validation=noise(4))
    assert {"train/beta", "train/spectral_norms", "validation/rate"} <= result.history.rows[-1].keys()
