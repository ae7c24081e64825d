"""The feature network against the reference implementation's own features, and what images it takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import FEATURES, FeatureNetwork, image_features
from vaelib.evaluation.efficientnet_lite import EfficientNetLite0, preprocess

# Two smooth random images (48 × 48 bytes) and the pooled features that the Apache-licensed reference implementation
# (efficientnet-lite-pytorch 0.1.0) computes from them with the same weights.
FIXTURE = Path(__file__).parent / "fixtures" / "efficientnet_lite0.safetensors"


class TwoNumbers(nn.Module):
    """Brightness and contrast: features that are easy to check."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images.flatten(1).mean(1), images.flatten(1).std(1)], dim=1)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A feature network that needs no download, and an empty cache; the list counts how often it was built."""
    built = []

    def build() -> nn.Module:
        built.append(1)
        return TwoNumbers()

    monkeypatch.setitem(FEATURES, "tiny", FeatureNetwork("tiny", 2, "both", "none", "none", build))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))
    return built


def test_features_equal_those_of_the_reference_implementation():
    fixture = load_file(FIXTURE)
    features = image_features(fixture["images"].float() / 255)
    torch.testing.assert_close(features, fixture["features"], atol=1e-4, rtol=0)


def test_features_do_not_depend_on_the_chunk():
    images = load_file(FIXTURE)["images"].float() / 255
    torch.testing.assert_close(image_features(images, chunk=1), image_features(images, chunk=2), atol=1e-5, rtol=1e-5)


def test_the_architecture_has_the_published_number_of_parameters():
    """4.65 million with its classifier of 1281 × 1000."""
    parameters = sum(p.numel() for p in EfficientNetLite0().parameters())
    assert parameters + 1281 * 1000 == 4_652_008


def test_a_grey_image_counts_as_three_equal_channels(generator):
    grey = torch.rand(2, 1, 28, 28, generator=generator)
    assert preprocess(grey).shape == (2, 3, 224, 224)
    assert torch.equal(preprocess(grey), preprocess(grey.expand(-1, 3, -1, -1)))


def test_the_network_sees_bytes_minus_127_over_128():
    images = torch.full((1, 3, 8, 8), 0.0)
    images[:, 1], images[:, 2] = 127 / 255, 1.0
    expected = torch.tensor([-127 / 128, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 224, 224)
    torch.testing.assert_close(preprocess(images), expected, atol=1e-6, rtol=0)


def test_shrinking_averages_instead_of_picking_pixels():
    """A one-pixel checkerboard has no detail that survives at half the size: antialiasing makes it grey."""
    rows, columns = torch.meshgrid(torch.arange(448), torch.arange(448), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, -1, -1)
    inside = preprocess(board)[..., 1:-1, 1:-1]
    assert (inside - (127.5 - 127) / 128).abs().max() < 1e-3


def test_features_of_a_data_set_are_kept_and_follow_its_pixels(tiny, generator):
    data = ImageSet(torch.randint(256, (40, 3, 8, 8), generator=generator, dtype=torch.uint8), "toy", "test", "toy 1")
    first = image_features(data, "tiny")
    assert torch.equal(image_features(replace(data, key="the same pixels"), "tiny"), first)
    assert len(tiny) == 1, "the same pixels were computed twice"
    changed = image_features(replace(data, images=255 - data.images), "tiny")
    assert len(tiny) == 2
    torch.testing.assert_close(changed[:, 0], 1 - first[:, 0])


def test_a_damaged_file_of_kept_features_is_made_again(tiny, tmp_path, generator):
    data = ImageSet(torch.randint(256, (40, 1, 8, 8), generator=generator, dtype=torch.uint8), "toy", "test", "toy 1")
    first = image_features(data, "tiny")
    (kept,) = (tmp_path / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert torch.equal(image_features(data, "tiny"), first)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_misspelt_name_of_features_names_the_near_miss():
    with pytest.raises(ValueError, match="Did you mean 'efficientnet-lite0'"):
        image_features(torch.rand(2, 3, 8, 8), "efficientnet_lite0")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((2, 3, 8, 8), 1.5), "lie in \\[0, 1\\]"),
        (torch.full((2, 3, 8, 8), -0.1), "lie in \\[0, 1\\]"),
        (torch.full((2, 3, 8, 8), torch.nan), "lie in \\[0, 1\\]"),
        (torch.zeros(2, 4, 8, 8), "one or three channels"),
        (torch.zeros(3, 8, 8), "one or three channels"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "divide bytes by 255"),
    ],
)
def test_images_that_are_none_are_refused(tiny, images, message):
    with pytest.raises(ValueError, match=message):
        image_features(images, "tiny")
    assert not tiny
