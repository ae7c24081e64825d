"""Sets too big for memory: decoded, cropped and resized once, into one memory-mapped file of bytes in the cache.

All of CelebA at 64×64 is 2.5 GB of bytes; as float32 it would be 10. The file is safetensors, written picture by
picture (its header, which needs the final count, goes into room kept at the front), under a name made from the recipe
and from each picture's path, size and time of change: a changed folder is prepared anew.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vaelib.console import progress_bar, say
from vaelib.data.cache import DataUnavailable, cache_folder, written_whole

_HEADER = 1024  # bytes kept for the safetensors header: its length (8), then JSON padded with spaces
_BLOCK = 256  # pictures in flight


@dataclass(frozen=True)
class Prepared:
    """What `prepared` answers.

    Attributes:
        images: (N, C, H, W) uint8, memory-mapped.
        kept: (files,) bool: which of the files are among the images; all, unless corrupt ones were skipped.
        digest: hash of the bytes of the files that were read, for an `ImageSet.key`.
    """

    images: Tensor
    kept: Tensor
    digest: str


def fingerprint(files: Sequence[Path]) -> str:
    """A hash of the paths, sizes and times of change: cheap, and new when a picture changes.

    Raises:
        DataUnavailable: a file is missing.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            raise DataUnavailable(
                f"{file} is missing or cannot be read ({error.strerror}). Was everything unpacked?"
            ) from error
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def prepared(
    name: str,
    recipe: str,
    files: Sequence[Path],
    reader: Callable[[], Callable[[bytes], Tensor]],
    *,
    skip_corrupt: bool | None = None,
) -> Prepared:
    """The pictures as one memory-mapped tensor, made now or earlier.

    Args:
        name: starts the name of the cached file.
        recipe: everything that decides what the reader makes of a file (crop, size, channels, …).
        files: the pictures, in order.
        reader: called when there is something to prepare; answers a function from a file's bytes to (C, H, W) uint8.
        skip_corrupt: leave out files that the reader fails on, instead of stopping at the first; None for
            sets that offer no choice.

    Raises:
        ValueError: a file is no image (unless skipped), or none is left.
        DataUnavailable: a file is missing or the cache cannot be written.
    """
    what = hashlib.sha256(f"{recipe}\0{skip_corrupt}\0{fingerprint(files)}".encode()).hexdigest()[:24]
    path = cache_folder() / "prepared" / f"{name}-{what}.safetensors"
    found = _open(path)
    if found is None:
        _write(path, files, reader(), name, skip_corrupt)
        found = _open(path)
        if found is None:
            raise DataUnavailable(f"{path} cannot be read back although it was just written: is the disk in order?")
    if missing := int((~found.kept).sum()):
        say(f"{name}: {missing} of {len(files)} files are no readable images and were left out")
    return found


def _open(path: Path) -> Prepared | None:
    """The prepared file, memory-mapped; None when it is missing or damaged."""
    import safetensors

    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return Prepared(file.get_tensor("images"), file.get_tensor("kept").bool(), file.metadata()["files"])
    except (safetensors.SafetensorError, OSError, KeyError, TypeError):
        return None  # cut short or overwritten: it is made again


def _write(
    path: Path, files: Sequence[Path], read: Callable[[bytes], Tensor], name: str, skip_corrupt: bool | None
) -> None:
    kept: list[bool] = []
    shape: tuple[int, ...] = ()
    digest = hashlib.sha256()

    def attempt(file: Path) -> tuple[bytes, Tensor] | ValueError:
        try:
            data = file.read_bytes()
            return hashlib.sha256(data).digest(), read(data)
        except Exception as error:  # decoders raise whatever they like
            advice = (
                ", or leave such files out: vaelib.data.folder(…, skip_corrupt=True)" if skip_corrupt is False else ""
            )
            return ValueError(f"{file} cannot be read as an image: {error}. Remove or replace it{advice}.")

    bar = progress_bar(total=len(files), unit="image", desc=f"preparing {name}")
    threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with bar, threads, written_whole(path) as temporary, temporary.open("wb") as out:
        out.write(bytes(_HEADER))
        for start in range(0, len(files), _BLOCK):
            block = files[start : start + _BLOCK]
            for result in threads.map(attempt, block):
                if isinstance(result, ValueError):
                    if not skip_corrupt:
                        raise result
                    kept.append(False)
                    continue
                file_hash, image = result
                digest.update(file_hash)
                shape = tuple(image.shape)
                kept.append(True)
                out.write(image.numpy().tobytes())
            bar.update(len(block))
        if not any(kept):
            raise ValueError(f"none of the {len(files)} files of {name} can be read as an image")
        out.write(bytes(kept))
        out.seek(0)
        out.write(_header((sum(kept), *shape), len(kept), digest.hexdigest()))


def _header(shape: tuple[int, ...], files: int, digest: str) -> bytes:
    """The safetensors header: its length in 8 bytes, then JSON, padded with spaces as the format allows."""
    size = torch.Size(shape).numel()
    entries = {
        "__metadata__": {"files": digest},
        "images": {"dtype": "U8", "shape": list(shape), "data_offsets": [0, size]},
        "kept": {"dtype": "U8", "shape": [files], "data_offsets": [size, size + files]},
    }
    return (_HEADER - 8).to_bytes(8, "little") + json.dumps(entries).encode().ljust(_HEADER - 8)
