"""MNIST, Fashion-MNIST and CIFAR-10 from small files in the published formats; all downloads without a network."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

from vaelib.data import DataUnavailable
from vaelib.data.torchvision_sets import load_cifar10, load_fashion_mnist, load_mnist


def idx(values: numpy.ndarray) -> bytes:
    """LeCun's idx format: two zero bytes, the type (8: unsigned byte), the rank, the sizes, the data."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_idx_set(folder: Path) -> tuple[numpy.ndarray, numpy.ndarray]:
    folder.mkdir(parents=True)
    random = numpy.random.default_rng(0)
    images = random.integers(0, 256, (24, 28, 28), dtype=numpy.uint8)
    labels = (numpy.arange(24) % 10).astype(numpy.uint8)
    for stem, part in (("train", slice(None)), ("t10k", slice(0, 7))):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(images[part]))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels[part]))
    return images, labels


@pytest.mark.parametrize(
    ("load", "name", "third"), [(load_mnist, "MNIST", "2 - two"), (load_fashion_mnist, "FashionMNIST", "Pullover")]
)
def test_idx_files_are_read_and_the_last_twelfth_validates(tmp_path: Path, load: object, name: str, third: str) -> None:
    assert callable(load)
    images, labels = write_idx_set(tmp_path / name / "raw")
    train, validation, test = (load(split, root=tmp_path) for split in ("train", "validation", "test"))
    assert torch.equal(torch.cat([train.images, validation.images])[:, 0], torch.from_numpy(images))
    assert torch.cat([train.labels, validation.labels]).tolist() == labels.tolist()
    assert (len(train), len(validation), len(test)) == (22, 2, 7)
    assert test.label_names[2] == third
    assert load("train", root=tmp_path, count=3, size=14).images.shape == (3, 1, 14, 14)
    assert len({train.key, validation.key, test.key, load("train", root=tmp_path, count=3).key}) == 4


def test_a_truncated_idx_file_says_what_to_remove(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_idx_set(raw)
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataUnavailable, match=r"With a network, remove .*raw and try again.*train-images-idx3-ubyte"):
        load_mnist(root=tmp_path)


def write_cifar(root: Path) -> numpy.ndarray:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    records = numpy.random.default_rng(1).integers(0, 256, (6, 4, 3073), dtype=numpy.uint8)
    records[..., 0] %= 10
    for number, name in enumerate([f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]):
        (folder / name).write_bytes(records[number].tobytes())
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\n")
    return records


def test_cifar10_is_read_from_the_binary_edition(tmp_path: Path) -> None:
    records = write_cifar(tmp_path)
    train, validation, test = (load_cifar10(split, root=tmp_path) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (18, 2, 4)
    red = records[0, 3, 1 : 1 + 1024].reshape(32, 32)  # a record: label, then red, green and blue, row by row
    assert numpy.array_equal(train.images[3, 0].numpy(), red)
    assert numpy.array_equal(test.images[2, 2, 31].numpy(), records[5, 2, -32:])
    assert test.labels is not None
    assert test.labels.tolist() == records[5, :, 0].tolist()
    assert test.label_names[9] == "truck"


def test_a_truncated_cifar10_file_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    file = tmp_path / "cifar-10-batches-bin" / "data_batch_4.bin"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataUnavailable, match=r"data_batch_4.bin has 5,000 bytes, not a multiple of 3,073"):
        load_cifar10(root=tmp_path)
    file.unlink()
    with pytest.raises(DataUnavailable, match=r"data_batch_4.bin is missing or empty"):
        load_cifar10(root=tmp_path)
    assert len(load_cifar10("test", root=tmp_path)) == 4


def test_without_a_network_every_downloaded_set_says_where_its_files_go(tmp_path: Path) -> None:
    """In a process of its own, whose every connection goes to a proxy that is not there."""
    program = (
        "from vaelib.data import load, DataUnavailable\n"
        "for name in ('mnist', 'fashion_mnist', 'cifar10', 'celeba', 'lfw'):\n"
        "    try: load(name)\n"
        "    except DataUnavailable as error: print(name, str(error).replace(chr(10), ' '), sep=': ')\n"
    )
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")
    proxies = dict.fromkeys(names, "http://127.0.0.1:9")
    settings = {**os.environ, **proxies, "VAELIB_CACHE": str(tmp_path), "no_proxy": "", "NO_PROXY": ""}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=settings, capture_output=True, text=True
    )
    said = dict(line.split(": ", 1) for line in result.stdout.splitlines() if ": " in line)
    downloads = tmp_path / "downloads"
    for name, place in {
        "mnist": downloads / "MNIST" / "raw",
        "fashion_mnist": downloads / "FashionMNIST" / "raw",
        "cifar10": downloads / "cifar-10-batches-bin" / "data_batch_1.bin",
        "celeba": downloads / "celeba" / "img_align_celeba" / "000001.jpg",
        "lfw": downloads / "lfw_home" / "lfw_funneled" / "Aaron_Eckhart" / "Aaron_Eckhart_0001.jpg",
    }.items():
        assert "could not be downloaded" in said.get(name, ""), (name, result)
        assert str(place) in said[name]
    assert "load 'digits'" in said["mnist"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 0]
