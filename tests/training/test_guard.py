"""A number that is not finite stops the run, and the place where it was born is named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_setup import assert_same_weights, noise, small_model

import vaelib
from vaelib.models import VAE, Model
from vaelib.training import NonFiniteError, TrainConfig, train

CONFIG = TrainConfig(steps=8, batch_size=16, log_every=1, checkpoint_every=2)


class PoisonedGradient(torch.autograd.Function):
    """The identity, but for its gradient."""

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient * float("inf")


def poison_after(step: int, model: Model, layer: str, poison, run: Path | None) -> tuple[str, dict[str, Tensor]]:
    """Train; after this step, let a layer's output go through `poison`. The error's message, the model at that step."""
    kept: dict[str, Tensor] = {}

    def callback(trained: Model, row: dict[str, float]) -> None:
        if row["step"] == step:
            kept.update({name: value.clone() for name, value in trained.state_dict().items()})
            trained.get_submodule(layer).register_forward_hook(lambda module, inputs, output: poison(output))

    with pytest.raises(NonFiniteError) as raised:
        train(model, noise(), CONFIG, run=run, callback=callback)
    return str(raised.value), kept


@pytest.mark.parametrize("layer", ["encoder.0", "encoder.4", "encoder.7", "decoder.1", "decoder.4"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_layer_that_made_the_first_bad_number_is_named(layer: str, value: float, tmp_path: Path) -> None:
    def poison(output: Tensor) -> Tensor:
        output = output.clone()
        output[0].select(0, 1).fill_(value)
        return output

    model = small_model()
    message, kept = poison_after(5, model, layer, poison, tmp_path / "run")
    assert f"layer '{layer}' ({type(model.get_submodule(layer)).__name__})" in message
    assert "step 5 of player 'model'" in message
    assert "finite input and finite weights" in message
    # The bad step did nothing: neither the weights nor the batch-norm statistics are ruined.
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert f"{tmp_path / 'run' / 'checkpoint'} is intact" in message
    assert "after 4 steps" in (tmp_path / "run" / "checkpoint" / "card.json").read_text()
    assert all(value.isfinite().all() for value in vaelib.load(tmp_path / "run").state_dict().values())


def test_a_weight_that_is_not_finite_is_blamed() -> None:
    model = small_model()
    with torch.no_grad():
        model.decoder[4].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"layer 'decoder.4' .* weights that are not finite \(weight\)"):
        train(model, noise(), CONFIG)


def test_a_bad_gradient_of_a_finite_loss_names_the_first_parameter_on_the_way_back() -> None:
    model = small_model()
    assert isinstance(model.encoder[3], nn.Conv2d)
    message, kept = poison_after(3, model, "encoder.4", PoisonedGradient.apply, None)
    # The poison works on what the batch norm gives, so on the way back the batch norm is the first to get it.
    assert "the loss is finite" in message
    assert "'encoder.4.weight'" in message or "'encoder.4.bias'" in message
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_a_loss_term_that_no_layer_made_is_named() -> None:
    class Divided(VAE):
        def weigh(self, distortion, rate, progress):  # type: ignore[no-untyped-def]
            return distortion + rate / (0.0 if progress.step == 3 else 1.0)

    model = Divided(small_model().config)
    with pytest.raises(NonFiniteError, match="every layer gave finite numbers, but of the loss total did not"):
        train(model, noise(), CONFIG)


def test_training_goes_on_from_the_checkpoint_once_the_cause_is_gone(tmp_path: Path) -> None:
    def nan(output: Tensor) -> Tensor:
        return output * float("nan")

    poison_after(5, small_model(), "decoder.1", nan, tmp_path / "run")
    resumed = train(small_model(), noise(), CONFIG, run=tmp_path / "run")
    assert_same_weights(resumed.model, train(small_model(), noise(), CONFIG).model)


def test_a_bad_number_of_the_second_player_is_its_own() -> None:
    model = small_model("two-players")
    with torch.no_grad():
        model.critic[2].bias[0] = float("inf")
    with pytest.raises(NonFiniteError, match=r"layer 'critic.2' \(Linear\).*weights that are not finite \(bias\)"):
        train(model, noise(), CONFIG)


def test_a_bad_micro_batch_of_several_is_found() -> None:
    class Fussy(VAE):
        def loss(self, batch, progress):  # type: ignore[no-untyped-def]
            loss = super().loss(batch, progress)
            bad = bool((batch.labels == 17).any())
            return vaelib.models.Loss(loss.total + (float("nan") if bad else 0.0), loss.per_image)

    data = noise()
    data = vaelib.data.ImageSet(data.images, "noise", "train", "labelled", labels=torch.arange(48))
    with pytest.raises(NonFiniteError, match="of the loss total did not"):
        train(Fussy(small_model().config), data, TrainConfig(steps=4, batch_size=8, accumulate=3))
