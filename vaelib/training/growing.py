"""Training that begins with smaller pictures: stage after stage, each an ordinary run from the last one's weights.

    start = train_stages(config, stages, pictures, Path("runs/nvae"))    # runs/nvae/stage-1-side-8, …
    vaelib.train(start, faces, training, run="runs/nvae")

Every stage has a run folder of its own, so a training that was stopped goes on in the stage in which it stood.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vaelib.data.image_set import ImageSet
from vaelib.models.nvae import NVAE, NVAEConfig, grown, stage
from vaelib.training.config import TrainConfig
from vaelib.training.randomness import seeded
from vaelib.training.trainer import train


@dataclass(frozen=True)
class Stage:
    """One stage before the last.

    Attributes:
        side: of its pictures.
        train: how it is trained.
        kl_warmup: portion of the stage over which the weight of the rate rises, with the groups balanced as published;
            0 for neither.
        finest_tax: on the finest scale at the start of the stage, for a scale that is new.
    """

    side: int
    train: TrainConfig
    kl_warmup: float = 0.0
    finest_tax: float = 1.0

    def config(self, final: NVAEConfig) -> NVAEConfig:
        """The model of this stage, on the way to that of the end."""
        small = stage(final, self.side)
        warming = self.kl_warmup > 0
        return dataclasses.replace(
            small,
            kl_warmup=self.kl_warmup,
            kl_constant=1e-4 if warming else 1.0,
            balancing=warming,
            finest_tax=self.finest_tax,
            finest_tax_portion=0.5,
        )


def train_stages(
    final: NVAEConfig,
    stages: Sequence[Stage],
    pictures: Callable[[int], tuple[ImageSet, ImageSet | None]],
    run: Path,
    *,
    resume: bool = True,
) -> NVAE:
    """Train all stages, and give the model of the end, which starts with what they learned.

    Args:
        final: the model of the end.
        stages: at least one, from the smallest pictures on.
        pictures: called with a side, gives training images of that side, and images for validation or None.
        run: folder; each stage has one inside.
        resume: go on where an earlier call was stopped. A stage that is finished is not trained again.
    """
    model: NVAE | None = None
    for number, step in enumerate(stages, start=1):
        config, (images, held_out) = step.config(final), pictures(step.side)
        with seeded(step.train.seed, f"stage {number}"):
            model = NVAE(config) if model is None else grown(model, config)
        folder = run / f"stage-{number}-side-{step.side}"
        train(model, images, step.train, validation=held_out, run=folder, resume=resume)
    with seeded(stages[-1].train.seed, "last stage"):
        return grown(cast(NVAE, model), final)
