"""The parts of the trainer, against closed forms."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from vaelib.config import from_dict, to_dict
from vaelib.training import TrainConfig
from vaelib.training.ema import ExponentialMovingAverage, decay_at
from vaelib.training.history import MetricsFile, RunningMeans
from vaelib.training.randomness import ImageOrder, derived_seed, own_randomness, seed_noise
from vaelib.training.runs import duration
from vaelib.training.schedules import learning_rate_at


def test_the_learning_rate_warms_up_then_stays() -> None:
    config = TrainConfig(steps=100, learning_rate=0.4, learning_rate_warmup=4)
    rates = [learning_rate_at(config, step) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_the_cosine_is_half_way_down_in_the_middle_and_down_at_the_end() -> None:
    config = TrainConfig(
        steps=110, learning_rate=1.0, learning_rate_warmup=10, schedule="cosine", final_learning_rate=0.2
    )
    assert learning_rate_at(config, 10) == pytest.approx(1.0)
    assert learning_rate_at(config, 60) == pytest.approx(0.6)
    assert learning_rate_at(config, 10 + 25) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert learning_rate_at(config, 110) == pytest.approx(0.2)
    falling = [learning_rate_at(config, step) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_the_exponential_falls_by_the_same_factor_in_every_step() -> None:
    config = TrainConfig(
        steps=110, learning_rate=2.0, learning_rate_warmup=10, schedule="exponential", final_learning_rate=0.02
    )
    assert learning_rate_at(config, 10) == pytest.approx(2.0)
    assert learning_rate_at(config, 60) == pytest.approx(0.2)
    assert learning_rate_at(config, 110) == pytest.approx(0.02)
    rates = [learning_rate_at(config, step) for step in range(10, 111)]
    factors = [after / before for before, after in pairwise(rates)]
    assert factors == pytest.approx([100 ** (-1 / 100)] * 100)
    with pytest.raises(ValueError, match="final_learning_rate should be above 0, which no exponential reaches"):
        TrainConfig(schedule="exponential")


def test_the_average_is_the_weighted_sum_of_all_states() -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.BatchNorm1d(3)
    states = torch.randn(40, 3, generator=generator, dtype=torch.float64).float()
    ema = ExponentialMovingAverage(model, 0.8)
    for update, state in enumerate(states):
        with torch.no_grad():
            model.weight.copy_(state)
            model.running_mean.copy_(2 * state)
        ema.update(update)
    # Every state weighs (1 − its decay) × the decays after it; the initial ones, all their product.
    decays = [min(0.8, (1 + n) / (10 + n)) for n in range(40)]
    weights = [(1 - decays[n]) * math.prod(decays[n + 1 :]) for n in range(40)]
    assert sum(weights) + math.prod(decays) == pytest.approx(1.0)
    expected = sum(weight * state.double() for weight, state in zip(weights, states, strict=True))
    torch.testing.assert_close(ema.values["weight"].double(), expected + math.prod(decays), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ema.values["running_mean"].double(), 2 * expected, rtol=1e-5, atol=1e-6)
    assert "num_batches_tracked" not in ema.values


def test_the_memory_of_a_short_run_is_short() -> None:
    assert decay_at(0.999, 0) == pytest.approx(0.1)
    assert 1 / (1 - decay_at(0.999, 890)) == pytest.approx(100)
    assert decay_at(0.999, 10**6) == 0.999


def test_averages_are_applied_and_taken_back_to_the_bit() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    ema = ExponentialMovingAverage(model, 0.9)
    with torch.no_grad():
        model[0].weight.add_(1 / 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with ema.applied():
        assert torch.equal(model[0].weight, ema.values["0.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_every_epoch_visits_every_image_once_in_an_order_of_its_own() -> None:
    order = ImageOrder(10, seed=3)
    walk = torch.cat([order.between(start, start + 4) for start in range(0, 40, 4)])
    epochs = walk.view(4, 10)
    assert all(epoch.sort().values.equal(torch.arange(10)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4
    # Wherever one enters the walk, it is the same walk.
    assert ImageOrder(10, seed=3).between(17, 33).equal(walk[17:33])
    assert not ImageOrder(10, seed=4).between(0, 10).equal(walk[:10])


def test_a_batch_may_span_more_than_two_epochs() -> None:
    counts = torch.bincount(ImageOrder(3, seed=0).between(3, 15))
    assert counts.tolist() == [4, 4, 4]


def test_noise_follows_from_what_it_is_seeded_with() -> None:
    cpu = torch.device("cpu")
    with own_randomness(cpu):
        draws = []
        for parts in ((0, 1), (0, 2), (1, 1), (0, 1)):
            seed_noise(cpu, *parts)
            draws.append(torch.randn(4))
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert derived_seed(1, 12) != derived_seed(11, 2)


def test_means_are_those_of_all_values_since_the_last_row() -> None:
    means = RunningMeans()
    means.add("a", torch.tensor([1.0, 3.0]))
    means.add("a", torch.tensor(5.0))
    means.add("b", torch.tensor(7.0))
    assert means.means() == {"a": 3.5, "b": 7.0}
    other = RunningMeans()
    other.restore(means.totals(), means.counts, torch.device("cpu"))
    other.add("b", torch.tensor(8.0))
    assert other.means() == {"a": 3.5, "b": 7.5}
    assert RunningMeans().means() == {}


def test_rows_after_the_checkpoint_and_a_cut_off_line_are_forgotten(tmp_path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (2, 4, 6):
        file.append({"step": step})
    with file.path.open("a") as text:
        text.write('{"step": 8, "tra')
    assert file.read_until(4) == [{"step": 2}, {"step": 4}]
    file.append({"step": 6})
    assert file.path.read_text().splitlines() == ['{"step": 2}', '{"step": 4}', '{"step": 6}']


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "TrainConfig.steps should be at least 1, not 0"),
        ({"batch_size": -1}, "batch_size should be at least 1"),
        ({"steps": 2.5}, "TrainConfig.steps should be int, not 2.5"),
        ({"batch_size": "8"}, "TrainConfig.batch_size should be int, not '8'"),
        ({"learning_rate": None}, "TrainConfig.learning_rate should be float, not None"),
        ({"learning_rate": float("nan")}, "learning_rate should be positive and finite"),
        ({"optimiser": "adamm"}, "optimiser should be one of adam, adamw, adamax, not 'adamm'. Did you mean 'adam'"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"precision": "bf16"}, "precision should be one of auto, float32, bfloat16, float16"),
        ({"betas": (0.9, 1.0)}, "betas should be two in"),
        ({"ema_decay": 1.0}, r"ema_decay should be in \[0, 1\)"),
        ({"gradient_clip": 0.0}, "gradient_clip should be positive and finite, or None"),
        ({"learning_rate_warmup": 1000}, "learning_rate_warmup should be less than the 1000 steps"),
        ({"final_learning_rate": 0.5, "schedule": "cosine"}, "final_learning_rate should be at most"),
        ({"final_learning_rate": 1e-4}, "should be 0 where the schedule is 'constant'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_settings_go_to_json_and_back() -> None:
    config = TrainConfig(steps=7, betas=(0.5, 0.9), gradient_clip=3.0)
    assert from_dict(TrainConfig, to_dict(config)) == config


@pytest.mark.parametrize(("seconds", "words"), [(42, "42 seconds"), (240, "4.0 minutes"), (9000, "2.5 hours")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
