"""The contenders of `training_speed.py`: the same VAE, the same batch, trained by different code.

    python -m benchmarks.contenders NAME --steps 24     prints one line of JSON

Each runs in a process of its own, so that its peak memory is its own and no contender warms the caches of the next.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.rounds import peak_memory_mb
from vaelib.networks import conv64

BATCH_SIZE = 128
WARM_UP_STEPS = 4
SHAPE, LATENTS = (3, 64, 64), 64


def random_images(steps: int) -> Tensor:
    """Bytes for `steps` batches: what they show does not change the speed."""
    return torch.randint(0, 256, (steps * BATCH_SIZE, *SHAPE), dtype=torch.uint8)


def eager(steps: int) -> float:
    """What a first version looks like: a plain float32 loop with no tricks. Images per second."""
    encoder, decoder = conv64.encoder(SHAPE, 2 * LATENTS), conv64.decoder(LATENTS, SHAPE, 3)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    images = random_images(8)

    def step(number: int) -> None:
        start = number % 8 * BATCH_SIZE
        x = images[start : start + BATCH_SIZE].float() / 255
        mean, log_variance = encoder(x).chunk(2, dim=1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        distortion = 0.5 * ((decoder(z) - x) ** 2).flatten(1).sum(dim=1)
        rate = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        loss = (distortion + rate).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()

    for number in range(WARM_UP_STEPS):
        step(number)
    began = time.perf_counter()
    for number in range(steps):
        step(number)
    return steps * BATCH_SIZE / (time.perf_counter() - began)


def vaelib_train(steps: int, precision: str = "auto") -> float:
    """`vaelib.train`, with its bar, its guard and its logs. Images per second."""
    import vaelib

    model = vaelib.models.VAE(vaelib.models.VAEConfig(network=conv64, latent_dimension=LATENTS, image_shape=SHAPE))
    data = vaelib.data.ImageSet(random_images(8), "random", "train", "random bytes")
    config = vaelib.training.TrainConfig(
        steps=WARM_UP_STEPS + steps,
        batch_size=BATCH_SIZE,
        precision=precision,  # type: ignore[arg-type]
        log_every=WARM_UP_STEPS,
    )
    ends: list[float] = []
    vaelib.train(model, data, config, callback=lambda *_: ends.append(time.perf_counter()))
    return steps * BATCH_SIZE / (ends[-1] - ends[0])


def pythae(steps: int) -> float:
    """pythae's own trainer on the same two networks. Images per second."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module = conv64.encoder(SHAPE, 2 * LATENTS)

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_variance = self.net(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module = conv64.decoder(LATENTS, SHAPE, 3)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    def trainer_of(count: int, folder: str) -> BaseTrainer:
        images = random_images(count).float() / 255
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=1e-3,
            no_cuda=True,
        )
        data = BaseDataset(images, torch.zeros(len(images)))
        trainer = BaseTrainer(model, data, training_config=config)
        trainer.prepare_training()
        return trainer

    model = VAE(VAEConfig(input_dim=SHAPE, latent_dim=LATENTS), encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        trainer_of(WARM_UP_STEPS, folder).train_step(1)
        trainer = trainer_of(steps, folder)
        began = time.perf_counter()
        trainer.train_step(1)
        return steps * BATCH_SIZE / (time.perf_counter() - began)


CONTENDERS: dict[str, Callable[[int], float]] = {
    "eager": eager,
    "pythae": pythae,
    "vaelib": vaelib_train,
    "vaelib-float32": lambda steps: vaelib_train(steps, precision="float32"),
}


def main() -> None:
    """Run one contender and print its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    torch.manual_seed(0)
    images_per_second = CONTENDERS[options.name](options.steps)
    print(json.dumps({"images_per_second": images_per_second, "peak_memory_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main()
