"""The loop does what a textbook loop does: its updates, its metrics, its players, its refusals."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from training_setup import SHAPE, TwoPlayers, TwoPlayersConfig, assert_same_weights, noise, small_model

import vaelib
from vaelib.data import ImageSet
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Loss, Model, Player, Progress, VAEConfig
from vaelib.networks import Linear
from vaelib.training import TrainConfig, train
from vaelib.training.precision import cpu_has_bfloat16, resolve_precision
from vaelib.training.preflight import check_processes

# Every step sees all of these images, so the order does not matter and a loop written by hand can be compared.
FULL = TrainConfig(steps=5, batch_size=16, precision="float32", epsilon=1.0, log_every=1)


def assert_close(model: Model, expected: Model) -> None:
    for (name, value), other in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "adamax"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_run_is_the_loop_that_one_would_write_by_hand(optimiser: str, clip: float | None) -> None:
    config = dataclasses.replace(FULL, optimiser=optimiser, gradient_clip=clip, weight_decay=0.1, betas=(0.8, 0.9))
    trained = train(small_model("linear"), noise(16), config).model

    expected = small_model("linear")
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}
    by_hand = kinds[optimiser](expected.parameters(), lr=1e-3, betas=(0.8, 0.9), eps=1.0, weight_decay=0.1)
    batch = noise(16).batch(slice(None))
    for _ in range(5):
        by_hand.zero_grad()
        expected.loss(batch, Progress(0, 1, 1)).total.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(expected.parameters(), clip)
        by_hand.step()
    assert_close(trained, expected)


def test_accumulating_two_batches_is_one_batch_of_twice_the_size() -> None:
    once = dataclasses.replace(FULL, batch_size=16)
    twice = dataclasses.replace(FULL, batch_size=8, accumulate=2)
    assert_close(
        train(small_model("linear"), noise(40), twice).model, train(small_model("linear"), noise(40), once).model
    )


def test_two_players_take_turns_each_with_its_own_optimiser() -> None:
    config = TwoPlayersConfig(adversary_factor=0.25)

    def build() -> TwoPlayers:
        model = small_model("two-players")
        model.config = config
        return model

    class Fixed(TwoPlayers):
        """Without noise, so that it can be followed by hand."""

        def criticism(self, batch, progress):  # type: ignore[no-untyped-def]
            return Loss(self.critic(self.encode(batch.images).mean).square().mean())

    model, expected = Fixed(config), Fixed(config)
    model.load_state_dict(build().state_dict())
    expected.load_state_dict(build().state_dict())
    trained = train(model, noise(16), FULL).model

    codec = [*expected.encoder.parameters(), *expected.decoder.parameters()]
    critic = list(expected.critic.parameters())
    optimisers = [torch.optim.Adam(codec, lr=1e-3, eps=1.0), torch.optim.Adam(critic, lr=0.25e-3, eps=1.0)]
    batch = noise(16).batch(slice(None))
    for _ in range(5):
        for side, optimiser in enumerate(optimisers):
            expected.zero_grad()
            expected(batch, Progress(0, 1, 1), side).total.backward()
            optimiser.step()
    assert_close(trained, expected)
    assert all(parameter.requires_grad for parameter in trained.parameters())


def test_a_player_changes_its_own_parameters_only() -> None:
    model = small_model("two-players")
    model.config = TwoPlayersConfig(adversary_factor=0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = train(model, noise(), TrainConfig(steps=3, batch_size=16)).model.state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"encoder", "decoder"}


def test_what_no_player_moves_gets_no_gradient() -> None:
    class HalfTrained(VAE):
        def players(self) -> tuple[Player, ...]:
            return (super().players()[0]._replace(parameters=self.decoder.parameters()),)

    gradients = []

    class Curious(HalfTrained):
        def loss(self, batch, progress):  # type: ignore[no-untyped-def]
            gradients.extend(parameter.grad for parameter in self.encoder.parameters())
            return super().loss(batch, progress)

    model = Curious(small_model().config)
    before = model.encoder[0].weight.detach().clone()
    train(model, noise(), TrainConfig(steps=3, batch_size=16))
    assert gradients
    assert all(gradient is None for gradient in gradients)
    assert torch.equal(model.encoder[0].weight, before)


def test_frozen_parameters_stay_frozen() -> None:
    model = small_model()
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, noise(), TrainConfig(steps=3, batch_size=16, weight_decay=0.1))
    changed = {
        name.partition(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {"decoder"}
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


def test_players_that_share_a_parameter_are_refused() -> None:
    class Greedy(TwoPlayers):
        def players(self) -> tuple[Player, ...]:
            first, second = super().players()
            return first, second._replace(parameters=self.parameters())

    with pytest.raises(ValueError, match=r"both move 'decoder.bias'"):
        train(Greedy(), noise(), TrainConfig(steps=1, batch_size=16))


def test_progress_counts_the_steps_and_knows_the_data() -> None:
    seen = []

    class Curious(VAE):
        def loss(self, batch, progress):  # type: ignore[no-untyped-def]
            seen.append(progress)
            return super().loss(batch, progress)

    model = Curious(small_model().config)
    train(model, noise(), TrainConfig(steps=3, batch_size=16, accumulate=2), validation=noise(20, seed=2))
    assert seen[:6] == [Progress(step, 3, 48) for step in (0, 0, 1, 1, 2, 2)]
    assert {progress.fraction for progress in seen[6:]} == {1.0}


def test_noise_is_fresh_in_every_step_and_the_same_in_every_validation() -> None:
    drawn: dict[bool, list[float]] = {True: [], False: []}

    class Noisy(VAE):
        def loss(self, batch, progress):  # type: ignore[no-untyped-def]
            drawn[self.training].append(torch.rand(()).item())
            return super().loss(batch, progress)

    config = TrainConfig(steps=6, batch_size=16, accumulate=2, validate_every=3)
    train(Noisy(small_model().config), noise(), config, validation=noise(20, seed=2))
    assert len(set(drawn[True])) == 12
    assert drawn[False][:2] == drawn[False][2:]
    assert len(set(drawn[False])) == 2


def test_a_row_has_the_means_since_the_last_and_the_validation_of_both_weights() -> None:
    every_step = train(small_model(), noise(), TrainConfig(steps=6, batch_size=16, log_every=1)).history
    config = TrainConfig(steps=6, batch_size=16, log_every=3, ema_decay=0.9, validate_every=3)
    history = train(small_model(), noise(), config, validation=noise(20, seed=2)).history
    steps, values = history.column("distortion")
    assert steps == [3, 6]
    fine = every_step.column("train/distortion")[1]
    assert values == pytest.approx([sum(fine[:3]) / 3, sum(fine[3:]) / 3], rel=1e-5)
    last = history.rows[-1]
    assert last["train/total"] == pytest.approx(last["train/distortion"] + last["train/rate"], rel=1e-5)
    assert (last["epoch"], last["images_seen"], last["learning_rate"]) == (2.0, 96, 1e-3)
    assert last["images_per_second"] > 0
    assert last["validation/total"] != last["validation/ema/total"]


def test_validation_is_the_training_objective_on_the_final_model() -> None:
    config = TrainConfig(steps=4, batch_size=16, precision="float32", ema_decay=0.5)
    validation = noise(20, seed=2)
    result = train(small_model("autoencoder"), noise(), config, validation=validation)
    assert not result.model.training
    with torch.inference_mode():
        expected = result.model.loss(validation.batch(slice(None)), Progress.finished()).total.item()
    # The model given back has the averaged weights.
    assert result.history.last()["validation/ema/total"] == pytest.approx(expected, rel=1e-5)


def test_a_bare_and_an_unknown_metric(tmp_path: Path) -> None:
    history = train(small_model(), noise(), TrainConfig(steps=2, batch_size=16), run=tmp_path / "run").history
    assert history.column("rate") == history.column("train/rate")
    with pytest.raises(KeyError, match=r"no metric 'distorsion'.*Did you mean 'distortion'"):
        history.column("distorsion")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.rows


def test_the_saved_model_says_what_it_was_trained_on(tmp_path: Path) -> None:
    result = train(small_model(), noise(), TrainConfig(steps=3, batch_size=16), run=tmp_path / "run")
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text())
    assert card["data"] == noise().key
    assert (card["steps"], card["images_seen"], card["train"]["learning_rate"]) == (3, 48, 1e-3)
    assert {"hardware", "versions", "seconds", "metrics"} <= card.keys()
    assert card["metrics"]["train/total"] == result.history.last()["train/total"]
    assert_same_weights(vaelib.load(tmp_path / "run"), result.model)


def test_a_bare_run_name_lives_in_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = train(small_model(), noise(), TrainConfig(steps=1, batch_size=16), run="first")
    assert result.run == Path("runs/first")
    assert (tmp_path / "runs" / "first" / "model" / "weights.safetensors").exists()


def no_images() -> ImageSet:
    return dataclasses.replace(noise(), images=torch.zeros(0, *SHAPE, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"data": noise(shape=(3, 32, 32))},
            r"takes .* \(3, 16, 16\), but the data \(noise\) has \(3, 32, 32\)",
        ),
        ({"data": no_images()}, r"the data \(noise, train\) has no images"),
        ({"validation": noise(shape=(1, 16, 16))}, r"the validation data \(noise\) has \(1, 16, 16\)"),
        ({"config": TrainConfig(batch_size=49)}, "batch_size 49 is more than the 48 images of noise"),
        ({"config": TrainConfig(batch_size=16, tensorboard=True)}, "tensorboard=True needs a run folder"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(**{"model": small_model(), "data": noise(), "config": TrainConfig(batch_size=16), **arguments})


def test_arguments_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="the data should be an ImageSet, not a Tensor"):
        train(small_model(), torch.zeros(4, *SHAPE))
    with pytest.raises(TypeError, match="takes a vaelib model first, not a Linear"):
        train(torch.nn.Linear(1, 1), noise())
    with pytest.raises(TypeError, match="takes a TrainConfig, not a dict"):
        train(small_model(), noise(), {"steps": 1})


def test_processes_that_do_not_know_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="cannot be shared out evenly to 3 processes"):
        check_processes(TrainConfig(batch_size=16), processes=3)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="accelerate launch --multi_gpu"):
        check_processes(TrainConfig(batch_size=16), processes=1)


def test_missing_tensorboard_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        train(small_model(), noise(), TrainConfig(steps=1, batch_size=16, tensorboard=True), run=tmp_path / "run")


def test_sixteen_images_are_learnt_by_heart() -> None:
    model = VAE(VAEConfig(SHAPE, 16, Linear()))
    history = train(model, noise(16), TrainConfig(steps=300, batch_size=16, learning_rate=1e-2)).history
    distortion = history.column("distortion")[1]
    # Random pixels have variance 1/12; a linear code of 16 numbers can hold 16 images.
    assert distortion[-1] < 0.2 * distortion[0]


def test_labels_reach_the_model() -> None:
    labels = torch.arange(48)
    seen = []

    class Labelled(Autoencoder):
        def loss(self, batch, progress):  # type: ignore[no-untyped-def]
            seen.append(batch)
            return super().loss(batch, progress)

    data = dataclasses.replace(noise(), labels=labels)
    train(Labelled(AutoencoderConfig(SHAPE, 4, Linear())), data, TrainConfig(steps=3, batch_size=16))
    assert torch.cat([batch.labels for batch in seen]).sort().values.equal(labels)
    for batch in seen:
        assert torch.equal(batch.images, data.batch(batch.labels).images)


def test_automatic_precision_is_bfloat16_where_the_processor_has_it() -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == ("bfloat16" if cpu_has_bfloat16() else "float32")
    assert resolve_precision("bfloat16", cpu) == "bfloat16"
    with pytest.raises(ValueError, match="'float16' needs a GPU"):
        resolve_precision("float16", cpu)
    flags = Path("/proc/cpuinfo")
    if flags.exists():
        words = set(flags.read_text().split())
        assert cpu_has_bfloat16() == bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def test_bfloat16_multiplies_in_bfloat16_and_keeps_the_weights_in_float32() -> None:
    dtypes = set()
    model = small_model()
    hook = model.encoder[0].register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    train(model, noise(), TrainConfig(steps=1, batch_size=16, precision="bfloat16"))
    hook.remove()
    assert dtypes == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_images_are_channels_last_when_asked_and_the_model_is_plain_afterwards() -> None:
    layouts = set()
    model = small_model()
    model.encoder[0].register_forward_pre_hook(
        lambda module, inputs: layouts.add(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    train(model, noise(), TrainConfig(steps=1, batch_size=16))
    train(model, noise(), TrainConfig(steps=1, batch_size=16, channels_last=False))
    assert layouts == {True, False}
    assert all(parameter.is_contiguous() for parameter in model.parameters())


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="this torch cannot pretend to compile")
def test_compiled_networks_are_plain_again_afterwards() -> None:
    compiled = []

    def callback(model: Model, row: dict[str, float]) -> None:
        compiled.append(all(network._compiled_call_impl is not None for network in model.children()))

    # Compiling for real takes a minute; here each network runs through the wrapper that torch.compile gives it.
    with torch.compiler.set_stance("force_eager"):
        model = train(
            small_model(), noise(), TrainConfig(steps=3, batch_size=16, compile=True), callback=callback
        ).model
    assert compiled == [True]
    assert all(network._compiled_call_impl is None for network in model.children())
    assert_same_weights(model, train(small_model(), noise(), TrainConfig(steps=3, batch_size=16)).model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: training on a GPU was NOT tested here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_trains_and_resumes_exactly(precision: str, tmp_path: Path) -> None:
    config = TrainConfig(steps=8, batch_size=16, precision=precision, ema_decay=0.9, checkpoint_every=3, log_every=1)

    def crash(model: Model, row: dict[str, float]) -> None:
        assert model.device.type == "cuda"
        if row["step"] == 5:
            raise KeyError

    with pytest.raises(KeyError):
        train(small_model(), noise(), config, run=tmp_path / "run", callback=crash)
    resumed = train(small_model(), noise(), config, run=tmp_path / "run")
    # Back where it came from: a notebook's next cell has its images there.
    assert resumed.model.device.type == "cpu"
    assert_same_weights(resumed.model, train(small_model(), noise(), config).model)
