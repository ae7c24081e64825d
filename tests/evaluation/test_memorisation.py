"""Copies planted among samples are found; a model that learned the distribution is not accused."""

import numpy as np
import pytest
import torch
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import FEATURES, FeatureNetwork, memorisation


@pytest.fixture(autouse=True)
def pixels(monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURES, "pixels", FeatureNetwork("pixels", 16, "all", "none", "none", nn.Flatten))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))


def some_images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def measured(generated, training, fresh, **options):
    return memorisation(generated, training, fresh, features="pixels", **options)


def test_the_number_is_the_share_below_the_percentile_of_fresh_images():
    generated, training, fresh = some_images(200, 0), some_images(300, 1), some_images(150, 2)
    generated[:20] = (0.7 * generated[:20] + 0.3 * training[:20]).clamp(0, 1)  # some drawn towards training images
    found = measured(generated, training, fresh)

    def nearest(images: torch.Tensor) -> np.ndarray:
        pairs = images.flatten(1).double().numpy()[:, None] - training.flatten(1).double().numpy()[None]
        return np.sqrt((pairs**2).sum(-1)).min(1)

    np.testing.assert_allclose(found.distances[:, 0].numpy(), nearest(generated))
    np.testing.assert_allclose(found.fresh_distances.numpy(), nearest(fresh))
    share = (nearest(generated) < np.quantile(nearest(fresh), 0.01)).mean()
    assert found.share_too_close.value == share
    ratio = np.median(nearest(generated)) / np.median(nearest(fresh))
    assert found.distance_ratio.value == pytest.approx(ratio)


def test_planted_copies_are_found_with_their_originals():
    generated, training = some_images(100, 0), some_images(300, 1)
    planted, originals = torch.tensor([3, 50, 99]), torch.tensor([7, 299, 0])
    generated[planted] = training[originals]
    found = measured(generated, training, some_images(200, 2), k=2)
    assert torch.equal(found.copies, planted)
    assert torch.equal(found.order[:3], planted)
    assert torch.equal(found.indices[planted, 0], originals)
    assert (found.distances[planted, 0] == 0).all()
    assert found.indices.shape == found.distances.shape == (100, 2)
    assert found.share_too_close.value >= 0.03


def test_copies_through_bytes_are_found_too():
    """Training images in a data set are bytes; a sample that was saved and read again differs by rounding."""
    training = ImageSet((some_images(300, 1) * 255).round().byte(), "toy", "train", "toy v1")
    generated = some_images(100, 0)
    generated[10:13] = training.batch(slice(40, 43)).images * (1 - 1e-6)
    found = measured(generated, training, some_images(200, 2))
    assert found.copies.tolist() == [10, 11, 12]
    assert found.indices[10:13, 0].tolist() == [40, 41, 42]


def test_a_model_that_only_copies_has_share_one():
    training = some_images(300, 1)
    found = measured(training[:100], training, some_images(200, 2))
    assert found.share_too_close.value == 1
    assert found.distance_ratio.value == 0
    assert len(found.copies) == 100


def test_fresh_images_of_the_same_source_are_not_accused():
    """One per cent of them is too close by definition; the bootstrap's error says how well that is known."""
    found = measured(some_images(2_000, 0), some_images(300, 1), some_images(2_000, 2))
    assert found.share_too_close.value == pytest.approx(0.01, abs=4 * found.share_too_close.standard_error)
    assert found.share_too_close.standard_error < 0.01
    assert found.distance_ratio.value == pytest.approx(1, abs=4 * found.distance_ratio.standard_error)
    assert not len(found.copies)


def test_the_errors_describe_the_spread_over_other_images():
    training = some_images(200, 1)
    found = [measured(some_images(400, 10 + i), training, some_images(400, 90 + i)) for i in range(25)]
    for name in ("share_too_close", "distance_ratio"):
        spread = np.std([getattr(each, name).value for each in found], ddof=1)
        claimed = np.mean([getattr(each, name).standard_error for each in found])
        assert 0.6 < claimed / spread < 1.7, name


def test_far_samples_are_no_copies_but_poor():
    found = measured(torch.ones(50, 1, 4, 4), some_images(300, 1), some_images(200, 2))
    assert found.share_too_close.value == 0
    assert found.distance_ratio.value > 1


def test_the_protocol_names_all_three_sets():
    training = ImageSet((some_images(300, 1) * 255).byte(), "toy", "train", "toy v1 train")
    fresh = ImageSet((some_images(200, 2) * 255).byte(), "toy", "test", "toy v1 test")
    found = measured(some_images(50, 0), training, fresh, subject="samples", seed=3)
    for number in (found.share_too_close, found.distance_ratio):
        protocol = number.protocol
        assert (protocol.data, protocol.split, protocol.key) == ("toy", "train", "toy v1 train")
        assert (protocol.samples, protocol.reference_samples, protocol.seed) == (50, 300, 3)
        assert "200 fresh images (toy v1 test)" in protocol.definition
        assert protocol.depends_on_samples
    other = measured(some_images(50, 0), training, fresh.take(150))
    with pytest.raises(ValueError, match="different protocols"):
        found.share_too_close < other.share_too_close  # noqa: B015


def test_measuring_repeats_and_leaves_the_global_generators_alone():
    sets = some_images(50, 0), some_images(300, 1), some_images(200, 2)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before, theirs = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = measured(*sets)
    assert measured(*sets).share_too_close == first.share_too_close
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == theirs).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("generated", "training", "fresh", "message"),
    [
        (some_images(50, 0), some_images(300, 1), some_images(99, 2), "at least 100 fresh images, .* not 99"),
        (some_images(31, 0), some_images(300, 1), some_images(200, 2), "at least 32 generated images"),
        (some_images(50, 0), some_images(20, 1), some_images(200, 2), "at least 32 training images"),
        (some_images(50, 0), torch.rand(300, 1, 5, 5), some_images(200, 2), "of one shape"),
        (torch.rand(50, 1, 5, 5), some_images(300, 1), some_images(200, 2), "of one shape"),
        (3 * some_images(50, 0), some_images(300, 1), some_images(200, 2), r"generated images should lie in \[0, 1\]"),
        (some_images(50, 0), some_images(300, 1), 3 * some_images(200, 2), r"fresh images should lie in \[0, 1\]"),
        (some_images(50, 0), some_images(300, 1), some_images(300, 1), "300 of the 300 fresh images are among the"),
    ],
)
def test_what_cannot_be_judged_is_refused(generated, training, fresh, message):
    with pytest.raises(ValueError, match=message):
        measured(generated, training, fresh)


def test_more_neighbours_than_training_images_are_refused():
    with pytest.raises(ValueError, match="takes at least 50 references, not 40"):
        measured(some_images(50, 0), some_images(40, 1), some_images(200, 2), k=50)
