"""Numbers that were measured once are kept, so that a comparison that was killed goes on where it stopped.

One JSON file holds the numbers of one model. Its name is a hash of everything that they depend on: weights, settings,
images, counts, seeds, versions, and the code that measures. Whatever changes, the file is simply not found.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import vaelib
from vaelib.config import from_dict, to_dict
from vaelib.data.cache import cache_folder, make_folder, written_whole
from vaelib.data.image_set import ImageSet
from vaelib.evaluation.comparison import Number
from vaelib.evaluation.protocol import Measurement, current_versions
from vaelib.models.base import Model

_CODE = ("evaluation", "models", "probability", "data", "networks.py")


def model_hash(model: Model) -> str:
    """SHA-256 of the settings and the weights of a model, in hexadecimal."""
    digest = hashlib.sha256(json.dumps([model.kind, to_dict(model.config)], sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def data_hash(data: ImageSet) -> str:
    """SHA-256 of the pixels and labels of a data set, and of what a protocol says about it."""
    digest = hashlib.sha256(repr((data.name, data.split, data.key, tuple(data.images.shape))).encode())
    for tensor in (data.images, data.labels):
        if tensor is not None:
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def measured_once(measure: Callable[[], dict[str, Measurement]], **depends_on: Any) -> tuple[Number, ...]:
    """The numbers that `measure` gives, or those it gave before.

    Args:
        measure: the work.
        depends_on: everything that the numbers depend on besides versions and code, as plain JSON values.
    """
    text = json.dumps([depends_on, current_versions(), _code_hash()], sort_keys=True)
    file = cache_folder() / "comparisons" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    found = _read(file)
    if found is None:
        found = tuple(Number(name, measurement) for name, measurement in measure().items())
        with written_whole(file) as temporary:
            values = {"depends_on": depends_on, "numbers": [to_dict(number) for number in found]}
            temporary.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return found


def check_keeping() -> None:
    """Raise a DataUnavailable unless numbers can be kept: better said before the work than after."""
    make_folder(cache_folder() / "comparisons")


def _read(file: Path) -> tuple[Number, ...] | None:
    try:
        return tuple(from_dict(Number, values) for values in json.loads(file.read_text(encoding="utf-8"))["numbers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: either way it is measured again


@functools.cache
def _code_hash() -> str:
    """Of every module that a number can depend on: its version alone would not tell two checkouts apart."""
    package = Path(vaelib.__file__).parent
    digest = hashlib.sha256()
    for name in _CODE:
        files = [package / name] if name.endswith(".py") else sorted((package / name).rglob("*.py"))
        for file in files:
            digest.update(str(file.relative_to(package)).encode() + file.read_bytes())
    return digest.hexdigest()
