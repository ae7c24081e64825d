"""What the tests of the trainer train: small models on random images, in this process or in another that is killed."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vaelib.data import Batch, ImageSet
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Loss, Model, Player, Progress, VAEConfig
from vaelib.networks import Convolutional, ImageShape, Linear
from vaelib.probability import PointMass

SHAPE = (3, 16, 16)


def noise(count: int = 48, shape: ImageShape = SHAPE, seed: int = 1) -> ImageSet:
    """Random images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return ImageSet(images, "noise", "train", f"noise {count} {shape} seed {seed}")


def signal_from_environment(step: int) -> None:
    """Send this process the signal SIGNAL at the step AT, in the middle of its forward pass."""
    if os.environ.get("AT") == str(step):
        del os.environ["AT"]
        os.kill(os.getpid(), signal.Signals[os.environ["SIGNAL"]])


class MortalVAE(VAE):
    """A VAE that can be made to get a signal in the middle of a step."""

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        signal_from_environment(progress.step)
        return super().loss(batch, progress)


@dataclass(frozen=True)
class TwoPlayersConfig:
    image_shape: ImageShape = SHAPE
    latent_dimension: int = 4
    adversary_factor: float = 0.5


class TwoPlayers(Model):
    """A linear autoencoder, and an adversary that tells its codes from normal noise."""

    kind = "two-players"
    Config = TwoPlayersConfig

    def __init__(self, config: TwoPlayersConfig | None = None) -> None:
        super().__init__()
        self.config = config or TwoPlayersConfig()
        size = SHAPE[0] * SHAPE[1] * SHAPE[2]
        self.encoder = nn.Linear(size, self.config.latent_dimension)
        self.decoder = nn.Linear(self.config.latent_dimension, size)
        self.critic = nn.Sequential(nn.Linear(self.config.latent_dimension, 8), nn.Tanh(), nn.Linear(8, 1))

    def encode(self, images: Tensor) -> PointMass:
        return PointMass(self.encoder(images.flatten(1)).float())

    def reconstruction(self, batch: Batch, progress: Progress) -> Loss:
        signal_from_environment(progress.step)
        codes = self.encode(batch.images).mean
        distortion = (self.decoder(codes) - batch.images.flatten(1)).square().sum(dim=1)
        return Loss(distortion.mean() + self.critic(codes).mean(), {"distortion": distortion})

    def criticism(self, batch: Batch, progress: Progress) -> Loss:
        codes = self.encode(batch.images).mean
        return Loss(self.critic(torch.randn_like(codes)).mean() - self.critic(codes).mean())

    def players(self) -> tuple[Player, ...]:
        codec = [*self.encoder.parameters(), *self.decoder.parameters()]
        factor = self.config.adversary_factor
        return (
            Player("model", codec, self.reconstruction),
            Player("adversary", self.critic.parameters(), self.criticism, factor),
        )


def small_model(kind: str = "vae", seed: int = 0) -> Model:
    """A model of any of the kinds below, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Convolutional(widths=(8, 12))
        if kind == "vae":
            return MortalVAE(VAEConfig(SHAPE, 4, network))
        if kind == "autoencoder":
            return Autoencoder(AutoencoderConfig(SHAPE, 4, network))
        if kind == "linear":
            return Autoencoder(AutoencoderConfig(SHAPE, 4, Linear()))
        return TwoPlayers()


def assert_same_weights(one: Model, other: Model, what: str = "") -> None:
    """Bit for bit, buffers included."""
    mine, yours = one.state_dict(), other.state_dict()
    assert mine.keys() == yours.keys()
    different = [name for name in mine if not torch.equal(mine[name], yours[name])]
    assert not different, f"{different} differ {what}"


def run_program(
    *arguments: str, launcher: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `training_program.py` in a Python of its own, with this process's number of threads."""
    program = str(Path(__file__).with_name("training_program.py"))
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "VAELIB_CI": "0", **environment}
    command = [sys.executable, *launcher, program, *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=300)
