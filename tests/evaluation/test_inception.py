"""The network of FID: what reaches it, which files it takes, and what is said when they are missing.

Its weights are on no package index, so nothing here needs them. Where torch-fidelity is installed, its network is
filled with random numbers.
"""

import hashlib
import pickle
import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from vaelib.data import DataUnavailable
from vaelib.evaluation import FEATURES, FeatureNetwork, distances, image_features
from vaelib.evaluation.inception import FEATURE_DIMENSION, VARIABLE, WEIGHTS, Inception, weights_file, with_weights

MODULE = "torch_fidelity.feature_extractor_inceptionv3"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache folder, and no file named."""
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "cache"


class Shown(nn.Module):
    """A network in the place of torch-fidelity's: it takes and gives what that does, and its features are the bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        return (images.flatten(1).float(),)


def test_the_network_sees_whole_bytes_so_that_saving_an_image_first_changes_nothing():
    images = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert Inception(Shown())(images).view(3, 4).tolist() == [[0, 0, 1, 255]] * 3
    pictures = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    saved = (pictures * 255).round() / 255
    assert torch.equal(Inception(Shown())(pictures), Inception(Shown())(saved))


def test_a_grey_image_counts_as_three_equal_channels():
    grey = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Inception(Shown())(grey), Inception(Shown())(grey.expand(-1, 3, -1, -1)))


def test_nothing_of_it_is_trained():
    network = Inception(Shown())
    assert not network.network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("named", [False, True])
def test_missing_weights_are_said_before_any_work_with_what_to_fetch_and_where_to_put_it(
    named, cache, monkeypatch, tmp_path
):
    if named:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere.pth"))
    with pytest.raises(DataUnavailable) as raised:
        image_features(torch.rand(2, 3, 8, 8), "inception")
    message = str(raised.value)
    expected = (
        f"{VARIABLE} names {tmp_path / 'nowhere.pth'}" if named else f"no file {cache / 'weights' / WEIGHTS.name}"
    )
    for part in (expected, WEIGHTS.url, str(cache / "weights"), "pip install torch-fidelity", "efficientnet-lite0"):
        assert part in message


def test_a_file_that_is_another_is_named_and_not_read(cache):
    path = cache / "weights" / WEIGHTS.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut short")
    with pytest.raises(DataUnavailable, match="is not the Inception network of FID, or not all of it: its SHA-256 is"):
        weights_file(WEIGHTS)


def test_the_right_file_is_found_in_the_cache_and_where_the_variable_says(cache, monkeypatch, tmp_path):
    published = replace(WEIGHTS, name="toy.pth", sha256=hashlib.sha256(b"toy").hexdigest())
    kept, elsewhere = cache / "weights" / "toy.pth", tmp_path / "elsewhere.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"toy")
    assert weights_file(published) == kept
    elsewhere.write_bytes(b"toy")
    monkeypatch.setenv(VARIABLE, str(elsewhere))
    assert weights_file(published) == elsewhere


def test_without_torch_fidelity_the_message_says_what_to_install(monkeypatch, tmp_path):
    torch.save({"weight": torch.zeros(())}, tmp_path / "toy.pth")
    monkeypatch.setitem(sys.modules, MODULE, None)  # as Python marks what cannot be imported
    with pytest.raises(DataUnavailable, match=r"cannot be imported .* pip install torch-fidelity"):
        with_weights(tmp_path / "toy.pth")


class Trap:
    """What a hostile file could hold."""

    sprung = False

    def __reduce__(self):
        return spring, ()


def spring() -> None:
    Trap.sprung = True


def test_a_file_that_holds_more_than_tensors_is_not_unpickled(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    module = types.ModuleType(MODULE)
    module.FeatureExtractorInceptionV3 = lambda *_, **__: pytest.fail("the file was handed on")
    monkeypatch.setitem(sys.modules, MODULE, module)
    torch.save(Trap(), tmp_path / "trap.pth")
    with pytest.raises(pickle.UnpicklingError):
        with_weights(tmp_path / "trap.pth")
    assert not Trap.sprung


def test_torch_fidelitys_network_takes_the_weights_and_gives_2048_features(monkeypatch, tmp_path):
    extractor = pytest.importorskip(MODULE).FeatureExtractorInceptionV3
    torch.save({}, tmp_path / "empty.pth")
    with monkeypatch.context() as empty, torch.random.fork_rng():
        torch.manual_seed(0)
        empty.setattr(extractor, "load_state_dict", lambda *_: None)
        weights = extractor("random", ["2048"], feature_extractor_weights_path=tmp_path / "empty.pth").state_dict()
    torch.save(weights, tmp_path / "random.pth")
    network = with_weights(tmp_path / "random.pth")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.network.state_dict().items())
    features = network(torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert features.shape == (2, FEATURE_DIMENSION)
    assert features.isfinite().all()


def test_only_these_features_are_the_standard_ones():
    assert [name for name, network in FEATURES.items() if network.standard] == ["inception"]
    assert FEATURES["inception"].dimension == FEATURE_DIMENSION


@pytest.mark.parametrize("standard", [True, False])
def test_a_distance_is_called_fid_and_kid_by_the_standard_features_alone(standard, monkeypatch):
    network = FeatureNetwork("pixels", 48, "all", "none", "none", nn.Flatten, standard)
    monkeypatch.setitem(FEATURES, "pixels", network)
    images = torch.rand(80, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    frechet, kernel = distances(images[:40], images[40:], features="pixels", subsets=4)
    expected = ("FID", "KID") if standard else ("Fréchet distance", "kernel distance")
    assert (frechet.protocol.metric, kernel.protocol.metric) == expected
    more = torch.rand(200, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    frechet, _ = distances(more[:100], more[100:], features="pixels", subsets=4)
    assert frechet.protocol.warning == ("biased upwards: an FID is of 10,000 images or more" if standard else "")
