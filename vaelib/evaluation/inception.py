"""The network of FID and KID: the Inception of December 2015, as TensorFlow published it, up to its pooled features.

It is not torchvision's Inception-v3: the weights are others, some pools are, and images are enlarged as TensorFlow 1
did, with sample points shifted by up to half a pixel and no averaging where it shrinks (Parmar et al. 2022). None of
this is better than what is usual today; all of it is in every published FID. So none of it is written again here: the
network is that of the package torch-fidelity (Apache-2.0), and the weights are the file that pytorch-fid publishes,
which torch-fidelity publishes under another name. Neither comes with vaelib; the error that you get without them says
what to fetch and where to put it.

Source: Szegedy et al. 2016 (architecture), Heusel et al. 2017 (its use).
"""

import io
import os
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaelib.data.cache import DataUnavailable, cache_folder

FEATURE_DIMENSION = 2048

VARIABLE = "VAELIB_INCEPTION"
"""The environment variable that names the file of weights, where it does not lie in the cache folder."""


@dataclass(frozen=True)
class PublishedFile:
    """A file on the web, pinned.

    Attributes:
        name: of the file, in the cache folder too.
        url: where it is published.
        sha256: its hash, in hexadecimal.
        megabytes: its size, for messages.
    """

    name: str
    url: str
    sha256: str
    megabytes: int


WEIGHTS = PublishedFile(
    name="pt_inception-2015-12-05-6726825d.pth",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    megabytes=96,
)


class Inception(nn.Module):
    """Images (B, 1 or 3, H, W) in [0, 1] → features (B, 2048), by torch-fidelity's network, which takes bytes.

    So images are rounded, as if they had been saved: a model that answers in floats shall not gain or lose by it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        (features,) = self.network((images * 255).round().to(torch.uint8))
        return features


def inception() -> Inception:
    """The trained network, in eval mode.

    Raises:
        DataUnavailable: the package or the weights are missing, or the file is another one; the message says what to
            install, what to fetch, and where to put it.
    """
    return with_weights(weights_file(WEIGHTS))


def with_weights(path: Path) -> Inception:
    """The network with the weights of this file, whose hash has been checked.

    Raises:
        DataUnavailable: torch-fidelity is not installed.
    """
    network_class = _network_class()
    # torch-fidelity would unpickle the file, whatever it holds. So it is read here, as tensors and nothing else, and
    # handed on as a file in memory that we wrote ourselves.
    tensors = io.BytesIO()
    torch.save(torch.load(path, map_location="cpu", weights_only=True), tensors)
    tensors.seek(0)
    return Inception(network_class("inception", [str(FEATURE_DIMENSION)], feature_extractor_weights_path=tensors))


def weights_file(published: PublishedFile) -> Path:
    """The file, verified: the one that VAELIB_INCEPTION names, else that in the cache folder.

    Raises:
        DataUnavailable: it is missing, or another.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named).expanduser() if named else cache_folder() / "weights" / published.name
    if not path.is_file():
        where = f"{VARIABLE} names {path}, and there is no such file" if named else f"there is no file {path}"
        raise DataUnavailable(
            f"the features 'inception' take weights that do not come with vaelib, and {where}. {_what_to_do(published)}"
        )
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != published.sha256:
        raise DataUnavailable(
            f"{path} is not the Inception network of FID, or not all of it: its SHA-256 is {found}, but "
            f"{published.sha256} is expected. Delete it. {_what_to_do(published)}"
        )
    return path


def _network_class() -> Any:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise DataUnavailable(
            f"the features 'inception' take the package torch-fidelity, which cannot be imported ({error}). "
            f"{_what_to_do(WEIGHTS)}"
        ) from error
    return FeatureExtractorInceptionV3


def _what_to_do(published: PublishedFile) -> str:
    return (
        f"To measure FID: pip install torch-fidelity; fetch {published.url} ({published.megabytes} MB) and put it into "
        f"{cache_folder() / 'weights'} as {published.name}, or set the environment variable {VARIABLE} to the file. To "
        "do without: the features 'efficientnet-lite0' need nothing but the package index"
    )
