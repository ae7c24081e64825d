"""Where vaelib keeps what it downloaded or prepared, and how a file gets there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


class DataUnavailable(RuntimeError):
    """Images could not be fetched or stored; the message says why and what to do."""


def cache_folder() -> Path:
    """The folder named by the environment variable VAELIB_CACHE, else the user's cache folder of this system."""
    if named := os.environ.get("VAELIB_CACHE"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("vaelib", appauthor=False))


def make_folder(folder: Path) -> Path:
    """Make a folder of the cache.

    Raises:
        DataUnavailable: it cannot be written; the message says how to choose another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise DataUnavailable(
            f"cannot write to the cache folder {folder}: {error.strerror or error}. "
            "Set the environment variable VAELIB_CACHE to a folder that you may write to."
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to. It becomes `path` when the block ends, and goes when the block fails.

    Two processes that write one file at once each have a temporary name of their own; the last to finish wins, and a
    reader only ever sees a whole file.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's own mode keeps the other users of a shared cache out
        temporary.replace(path)
    except OSError as error:
        raise DataUnavailable(
            f"cannot write {path}: {error.strerror or error}. Make room, or set the environment variable VAELIB_CACHE "
            "to a folder elsewhere."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
