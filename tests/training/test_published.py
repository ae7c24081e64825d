"""The published trainings have the published numbers, and are built and stepped without memory."""

import pytest
import torch

from vaelib.data import card
from vaelib.evaluation import without_numbers
from vaelib.models import NVAE, Batch, Progress
from vaelib.training import PUBLISHED_RUNS, preset
from vaelib.training.schedules import learning_rate_at

COUNTS = {
    "nvae-mnist": 33_363_134,
    "nvae-cifar10": 130_852_480,
    "nvae-celeba64": 153_281_364,
    "nvae-celebahq256": 330_798_664,
    "nvae-ffhq256": 330_798_664,
}
# Epochs times full batches in an epoch, by hand.
STEPS = {
    "nvae-mnist": (400 * 150, 400),
    "nvae-cifar10": (400 * 195, 256),
    "nvae-celeba64": (90 * 1271, 128),
    "nvae-celebahq256": (300 * 281, 96),
    "nvae-ffhq256": (200 * 656, 96),
}


@pytest.mark.parametrize("name", PUBLISHED_RUNS)
def test_the_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        model = NVAE(preset(name, "gpu").model)
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", PUBLISHED_RUNS)
def test_the_training_is_the_published_one(name: str) -> None:
    one = preset(name, "gpu")
    assert (one.train.steps, one.train.batch_size) == STEPS[name]
    assert (one.train.optimiser, one.train.epsilon, one.train.weight_decay) == ("adamax", 1e-3, 3e-4)
    assert learning_rate_at(one.train, one.train.learning_rate_warmup) == (8e-3 if "ffhq" in name else 1e-2)
    assert learning_rate_at(one.train, one.train.steps) == pytest.approx(1e-4)
    if not one.data.startswith("folder:"):
        shown = card(one.data)
        assert one.crop is None or one.crop in shown.crops
        assert one.train.validation_images <= shown.splits["validation"]


@pytest.mark.parametrize("profile", ["smoke", "cpu"])
def test_a_small_profile_of_a_published_training_is_refused_plainly(profile: str) -> None:
    with pytest.raises(ValueError, match="nvae-celeba64 is a published training, which exists only in profile gpu"):
        preset("nvae-celeba64", profile)


# The network of CelebA-HQ is that of FFHQ.
@pytest.mark.parametrize("name", ["nvae-mnist", "nvae-cifar10", "nvae-celeba64", "nvae-ffhq256"])
def test_a_published_network_takes_a_step_without_memory(name: str) -> None:
    one = preset(name, "gpu")
    with torch.random.fork_rng(devices=[]), without_numbers():
        model = NVAE(one.model)
        # Adamax divides by a number that it computes from its count of steps, and here are no numbers.
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
        loss = model.loss(Batch(torch.rand(2, *model.image_shape)), Progress(0, 10, 10))
        loss.total.backward()
        assert all(parameter.grad.shape == parameter.shape for parameter in model.parameters())
        optimiser.step()
