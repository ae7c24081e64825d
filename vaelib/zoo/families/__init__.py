"""Families: one network trained many times, with one setting and the seed varied, and what was measured of each run.

A single run shows what a setting did once. A family shows what it does: the curve over the settings, and the spread
over the seeds. What the book says about β is read off here.

    family = vaelib.zoo.family("sprites")
    family.settings                                   # "VAE", "β-VAE, β = 4", …
    numbers = family.results()                        # of each member, by name
    model = family.load("beta-vae-4-seed-1")

`python -m vaelib.zoo.families measure sprites` computes every number again; `train` and `ship` do the same for the runs
and their weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vaelib import storage
from vaelib.config import near_miss
from vaelib.data import ImageSet
from vaelib.models import MODELS, Model
from vaelib.training import TrainConfig
from vaelib.training.randomness import seeded

FOLDER = Path(__file__).parent
RUNS = Path("runs/families")

__all__ = ["Family", "Member", "family", "names"]


@dataclass(frozen=True)
class Member:
    """One run of a family.

    Attributes:
        name: `beta-vae-4-seed-1`.
        setting: what it shares with the runs of other seeds, for people: "β-VAE, β = 4".
        value: the number in it: β, or C in nats.
        seed: of weights, order and noise.
        kind, config: of the model.
        training: its own settings, where they are not the family's.
        start: a model of the zoo whose weights it begins with; without one it begins with random weights.
    """

    name: str
    setting: str
    value: float
    seed: int
    kind: str
    config: Any
    training: TrainConfig | None = None
    start: str | None = None

    def build(self) -> Model:
        """The model before its training; random weights follow from the seed."""
        with seeded(self.seed, "weights"):
            model = MODELS[self.kind](self.config)
        if self.start is not None:
            from vaelib import zoo

            model.load_state_dict(zoo.load(self.start).state_dict())
        return model


@dataclass(frozen=True)
class Family:
    """Runs that differ in one setting and in the seed.

    Attributes:
        name: `sprites`.
        about: what it is, in a line.
        members: all runs.
        training: of every one; the seed is the member's.
        data: the images of a split.
        measure: a trained model → its numbers by name, and tensors (pictures, maps) by name.
        shipped: names of the members whose weights the zoo holds; None for all. Of the others it holds the results.
    """

    name: str
    about: str
    members: tuple[Member, ...]
    training: TrainConfig
    data: Callable[[str], ImageSet] = field(repr=False)
    measure: Callable[[Model], tuple[dict[str, Any], dict[str, Tensor]]] = field(repr=False)
    shipped: tuple[str, ...] | None = None

    @property
    def shipped_members(self) -> tuple[Member, ...]:
        """The members whose weights the zoo holds, in order."""
        return tuple(member for member in self.members if self.shipped is None or member.name in self.shipped)

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings, in order, without repetition."""
        return tuple(dict.fromkeys(member.setting for member in self.members))

    def member(self, name: str) -> Member:
        """The member of this name.

        Raises:
            ValueError: there is none; the message names the near miss.
        """
        known = {member.name: member for member in self.members}
        if name not in known:
            raise ValueError(
                f"the family {self.name} has no {name!r}; its members are {', '.join(known)}.{near_miss(name, known)}"
            )
        return known[name]

    def load(self, name: str) -> Model:
        """The trained model of a member, in eval mode, on the CPU, in float32.

        Raises:
            ValueError: no such member.
            FileNotFoundError: its weights are not shipped, only its results.
        """
        member = self.member(name)
        file = self.weights_file
        prefix = f"{name}/"
        weights = {}
        if file.exists():
            with safe_open(file, framework="pt") as stored:  # which reads what is asked for, and no more
                weights = {key: stored.get_tensor(key) for key in stored.keys() if key.startswith(prefix)}  # noqa: SIM118
        if not weights:
            raise FileNotFoundError(
                f"the weights of {name} are not shipped, only its results. Train it: "
                f"python -m vaelib.zoo.families train {self.name} --only {name}"
            )
        model = member.build()
        model.load_state_dict({key.removeprefix(prefix): tensor for key, tensor in weights.items()})
        return model.eval()

    def results(self) -> dict[str, dict[str, Any]]:
        """What was measured of each member, by its name; see the family's `measure` for the words.

        Raises:
            FileNotFoundError: nothing was measured yet.
        """
        numbers = storage.read_json(self.results_file)["members"]
        return {member.name: numbers[member.name] for member in self.members if member.name in numbers}

    def pictures(self) -> dict[str, Tensor]:
        """Tensors that were kept of the measurement, as `member/what`: pictures (uint8) and maps."""
        return load_file(FOLDER / f"{self.name}-pictures.safetensors")

    @property
    def weights_file(self) -> Path:
        """Where the weights of the shipped members are; no such file where none are."""
        return FOLDER / f"{self.name}.safetensors"

    @property
    def results_file(self) -> Path:
        """Where the results are."""
        return FOLDER / f"{self.name}.json"

    def run(self, member: Member) -> Path:
        """Where a member is trained."""
        return RUNS / self.name / member.name


def names() -> tuple[str, ...]:
    """The families that there are."""
    return ("sprites", "faces", "wae", "portraits")


def family(name: str) -> Family:
    """The family of this name.

    Raises:
        ValueError: there is none; the message names the near miss.
    """
    if name not in names():
        raise ValueError(f"there is no family {name!r}; there are {', '.join(names())}.{near_miss(name, names())}")
    from vaelib.zoo.families import faces, portraits, sprites, wae

    return {"sprites": sprites, "faces": faces, "wae": wae, "portraits": portraits}[name].FAMILY
