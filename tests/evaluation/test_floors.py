"""What stands beside the models: images whose distances, sharpness and moments are known without any model."""

import math

import pytest
import torch
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import FEATURES, FeatureNetwork, floor_images, floor_measurements
from vaelib.evaluation.floors import COMPONENTS, FLOORS, gaussian_of_components

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def pixels(monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURES, "pixels", FeatureNetwork("pixels", 64, "all", "none", "none", nn.Flatten))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))


def image_set(count: int, seed: int, split: str = "test") -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    # Around a bright and a dark half, so that no noise resembles them.
    half = torch.cat([torch.full((1, 4, 8), 40), torch.full((1, 4, 8), 180)], dim=1)
    images = half + torch.randint(-30, 30, (count, *SHAPE), generator=generator)
    return ImageSet(images.to(torch.uint8), "toy", split, f"toy {split} {seed}")


DATA, TRAINING = image_set(160, 1), image_set(150, 2, "train")


def test_the_gaussian_has_the_mean_and_the_leading_covariance_of_its_images():
    torch.manual_seed(0)
    # Rank 3 in 200 dimensions, well inside [0, 1], so that nothing is cut.
    directions, codes = torch.linalg.qr(torch.randn(192, 3))[0], torch.randn(4000, 3) * torch.tensor([0.3, 0.2, 0.1])
    images = (0.5 + codes @ directions.T).unflatten(1, (3, 8, 8))
    drawn = gaussian_of_components(images, 20_000, torch.Generator().manual_seed(0)).flatten(1)
    torch.testing.assert_close(drawn.mean(0), images.flatten(1).mean(0), atol=0.01, rtol=0)
    found = torch.cov((drawn @ directions).T).diagonal().sqrt()
    torch.testing.assert_close(found, torch.tensor([0.3, 0.2, 0.1]), atol=0.01, rtol=0.05)
    assert torch.linalg.matrix_rank(drawn[:500] - drawn.mean(0), rtol=1e-3) <= COMPONENTS


def test_the_gaussian_takes_fewer_images_and_dimensions_than_its_components():
    few = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert gaussian_of_components(few, 7, torch.Generator().manual_seed(0)).shape == (7, 1, 2, 2)
    with pytest.raises(ValueError, match="at least two training images, not 1"):
        gaussian_of_components(few[:1], 7, torch.Generator())


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_follows_from_its_seed_alone_and_leaves_no_trace(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = floor_images(name, DATA, TRAINING, samples=40, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(floor_images(name, DATA, TRAINING, samples=40, seed=3), first)
    assert first.shape == (40, *SHAPE)
    assert 0 <= first.min() <= first.max() <= 1
    drawn = name in ("gaussian", "noise")
    assert torch.equal(floor_images(name, DATA, TRAINING, samples=40, seed=4), first) is not drawn


def test_fresh_images_are_those_that_follow_and_then_training_images():
    fresh = floor_images("fresh", DATA, TRAINING, samples=60)
    assert torch.equal(fresh, DATA.batch(slice(60, 120)).images)
    fresh = floor_images("fresh", DATA, TRAINING, samples=100)
    assert torch.equal(fresh[:60], DATA.batch(slice(100, 160)).images)
    assert torch.equal(fresh[60:], TRAINING.batch(slice(110, 150)).images)
    with pytest.raises(ValueError, match=r"others than the 160 that are compared with.* only 150, not 200"):
        floor_images("fresh", DATA, TRAINING, samples=200)


def test_the_mean_face_is_the_mean_of_the_training_images():
    images = floor_images("mean face", DATA, TRAINING, samples=3)
    expected = (TRAINING.images.double() / 255).mean(dim=0)
    torch.testing.assert_close(images[2].double(), expected, atol=1e-6, rtol=0)
    assert torch.equal(images[0], images[2])


def test_floors_lie_in_their_order():
    found = {name: floor_measurements(name, DATA, TRAINING, samples=80, features="pixels") for name in FLOORS}
    frechet = {name: numbers["frechet_samples"] for name, numbers in found.items()}
    assert frechet["fresh"] < frechet["mean face"] < frechet["noise"]
    assert frechet["gaussian"] < frechet["mean face"]
    kernel = {name: numbers["kernel_samples"] for name, numbers in found.items()}
    assert abs(kernel["fresh"].value) < 4 * kernel["fresh"].standard_error
    assert kernel["noise"] > kernel["fresh"]
    assert found["mean face"]["recall"].value == 0, "copies of one image have no balls around them"
    assert found["noise"]["precision"].value == 0
    assert found["fresh"]["sharpness_closeness_samples"].value > 0.9


def test_the_sharpness_of_noise_is_twenty_times_its_variance():
    noise = floor_measurements("noise", DATA, TRAINING, samples=160, features=None)
    assert noise.keys() == {"sharpness_samples", "sharpness_closeness_samples"}
    # Neighbours 1 + 1 + 1 + 1 and 16 of the centre, times 1/12; within 6 × 6 values of zero mean sum.
    measured = noise["sharpness_samples"]
    assert math.isclose(measured.value, 20 / 12, rel_tol=0.05)
    assert measured.protocol.subject == "noise"


def test_what_cannot_be_a_floor_is_refused():
    with pytest.raises(ValueError, match=r"no floor 'mean_face'.*Did you mean 'mean face'"):
        floor_images("mean_face", DATA, TRAINING, samples=3)
    with pytest.raises(ValueError, match="samples should be a whole number of at least 1, not 0"):
        floor_images("noise", DATA, TRAINING, samples=0)
    colour = ImageSet(torch.zeros(40, 3, 8, 8, dtype=torch.uint8), "colour", "train", "colour")
    with pytest.raises(ValueError, match=r"the training images are \(3, 8, 8\)"):
        floor_images("noise", DATA, colour, samples=3)
    with pytest.raises(ValueError, match="at least 32 images and samples, not 160 and 10"):
        floor_measurements("noise", DATA, TRAINING, samples=10, features="pixels")
