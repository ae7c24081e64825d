"""Which size of a notebook to run: `smoke` (seconds, for CI), `cpu` (what the book shows) or `gpu` (the full thing)."""

import os
from typing import Literal, cast, get_args

from vaelib.config import near_miss

Profile = Literal["smoke", "cpu", "gpu"]
PROFILES: tuple[str, ...] = get_args(Profile)


def profile() -> Profile:
    """The profile named by the environment variable VAELIB_PROFILE; `cpu` when there is none.

    Raises:
        ValueError: the variable names no profile.
    """
    name = os.environ.get("VAELIB_PROFILE", "cpu")
    if name not in PROFILES:
        raise ValueError(f"VAELIB_PROFILE is {name!r}, not one of {', '.join(PROFILES)}.{near_miss(name, PROFILES)}")
    return cast(Profile, name)
