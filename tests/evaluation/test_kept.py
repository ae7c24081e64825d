"""What was measured is kept, found again while nothing that it depends on has changed, and measured again otherwise."""

from dataclasses import replace

import pytest
import torch

from vaelib.data import DataUnavailable, ImageSet
from vaelib.evaluation import Measurement, Protocol
from vaelib.evaluation.kept import check_keeping, data_hash, measured_once, model_hash
from vaelib.models import VAE, VAEConfig
from vaelib.networks import Linear


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "comparisons"


class Work:
    """A measurement that counts how often it was made."""

    def __init__(self, value: float = 1.5) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> dict[str, Measurement]:
        self.times += 1
        protocol = Protocol("rate", unit="nats per image", samples=3, notes=("one", "two"), seed=4)
        return {"rate": Measurement(self.value, protocol, 0.25), "other": Measurement(float("nan"), protocol)}


def small_vae(latents: int = 2) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(VAEConfig(image_shape=(1, 8, 8), latent_dimension=latents, network=Linear()))


@pytest.fixture
def data(generator) -> ImageSet:
    images = torch.randint(256, (6, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageSet(images, "toy", "test", "toy v1", torch.arange(6))


def test_the_work_is_done_once_and_found_whole():
    work = Work()
    first = measured_once(work, weights="a", samples=3)
    again = measured_once(work, samples=3, weights="a")
    assert work.times == 1
    assert [number.name for number in again] == ["rate", "other"]
    assert again[0] == first[0]
    assert again[1].measurement.value != again[1].measurement.value, "NaN survives"


@pytest.mark.parametrize("changed", [{"weights": "b"}, {"samples": 4}, {"features": "pixels"}])
def test_what_depends_on_something_else_is_measured_again(changed):
    work = Work()
    measured_once(work, weights="a", samples=3, features=None)
    measured_once(work, **{"weights": "a", "samples": 3, "features": None, **changed})
    assert work.times == 2


def test_work_that_fails_leaves_nothing_behind(cache):
    def fails() -> dict[str, Measurement]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured_once(fails, weights="a")
    assert not cache.exists()
    work = Work()
    measured_once(work, weights="a")
    assert work.times == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"numbers": [{"name": "rate"}]}', '{"numbers": 3}'])
def test_a_damaged_file_is_measured_again(cache, content):
    work = Work()
    measured_once(work, weights="a")
    (kept,) = cache.iterdir()
    kept.write_text(content)
    assert measured_once(work, weights="a")[0].measurement.value == 1.5
    assert work.times == 2
    measured_once(work, weights="a")
    assert work.times == 2, "and mended"


def test_a_cache_that_cannot_be_written_is_named_before_the_work(cache):
    cache.parent.write_text("in the way")
    with pytest.raises(DataUnavailable, match=r"cannot write to the cache folder .* VAELIB_CACHE"):
        check_keeping()


def test_the_hash_of_a_model_follows_its_weights_and_settings_and_nothing_else():
    model = small_vae()
    expected = model_hash(model)
    assert model_hash(small_vae()) == expected
    assert model_hash(model.eval()) == expected
    assert model_hash(small_vae(latents=3)) != expected
    with torch.no_grad():
        model.decoder[0].weight[0, 0] += 1e-6
    assert model_hash(model) != expected


def test_the_hash_of_images_follows_pixels_labels_and_key(data):
    flipped = replace(data, images=data.images.flip(0))
    relabelled = replace(data, labels=data.labels.flip(0))
    renamed = replace(data, key="toy v2")
    hashes = {data_hash(each) for each in (data, flipped, relabelled, renamed, replace(data, labels=None))}
    assert len(hashes) == 5
    assert data_hash(replace(data, images=data.images.clone())) == data_hash(data)
