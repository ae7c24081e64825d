"""The published NVAE trainings: which network, which pictures, how many steps of how many, on how many GPUs, how long.

They exist in profile `gpu` only. What differs from the published code: its learning rate falls once an epoch and ours
at each step, its numbers are float16 and ours bfloat16 where the hardware has it, its
batch norms share their statistics between all GPUs and ours do not, and our data sets keep part of the
published training pictures for validation (MNIST, CIFAR-10, FFHQ), so that as many steps are more epochs of fewer
pictures. CelebA-HQ is not among our data: its pictures are expected in a folder.

Sources: Vahdat & Kautz 2020, table 6; commands and hours of the README of its public code.
"""

from dataclasses import dataclass

from vaelib.models.nvae import NVAEConfig, published
from vaelib.training.config import TrainConfig


@dataclass(frozen=True)
class PublishedRun:
    """One line of the published table.

    Attributes:
        model: the network.
        data: name in `vaelib.data`; `crop`: of it.
        images: pictures in the published training set.
        epochs, warmup_epochs: how often they were seen, and over how many epochs the learning rate grew.
        batch_per_gpu, gpus, hours: the hardware, NVIDIA V100s, and how long it was busy.
        learning_rate: of Adamax, falling on a cosine to 1e-4.
    """

    model: NVAEConfig
    data: str
    images: int
    epochs: int
    batch_per_gpu: int
    gpus: int
    hours: float
    learning_rate: float = 1e-2
    warmup_epochs: int = 5
    crop: str | None = None

    @property
    def steps_per_epoch(self) -> int:
        """A last batch that is not full is left out."""
        return self.images // (self.batch_per_gpu * self.gpus)

    @property
    def gpu_hours(self) -> float:
        """GPUs times hours."""
        return self.gpus * self.hours

    @property
    def train(self) -> TrainConfig:
        """The training, in steps; `batch_size` is over all GPUs."""
        return TrainConfig(
            steps=self.epochs * self.steps_per_epoch,
            batch_size=self.batch_per_gpu * self.gpus,
            learning_rate=self.learning_rate,
            optimiser="adamax",
            epsilon=1e-3,
            weight_decay=3e-4,
            learning_rate_warmup=self.warmup_epochs * self.steps_per_epoch,
            schedule="cosine",
            final_learning_rate=1e-4,
            log_every=100,
            validate_every=5_000,
            validation_images=2_000,
            checkpoint_every=1_000,
        )


PUBLISHED_RUNS: dict[str, PublishedRun] = {
    "nvae-mnist": PublishedRun(published.mnist(), "mnist", 60_000, 400, 200, gpus=2, hours=21),
    "nvae-cifar10": PublishedRun(published.cifar10(), "cifar10", 50_000, 400, 32, gpus=8, hours=55),
    "nvae-celeba64": PublishedRun(published.celeba64(), "celeba", 162_770, 90, 16, gpus=8, hours=92, crop="nvae-148"),
    "nvae-celebahq256": PublishedRun(published.celebahq256(), "folder:celebahq256", 27_000, 300, 4, gpus=24, hours=94),
    "nvae-ffhq256": PublishedRun(
        published.ffhq256(), "ffhq", 63_000, 200, 4, gpus=24, hours=160, learning_rate=8e-3, crop="full-1024"
    ),
}
"""The published trainings by the names of their presets."""
