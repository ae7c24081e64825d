"""Validation: the objective of training, on images that were not trained on."""

from collections import defaultdict

import torch

from vaelib.data.image_set import ImageSet, slices
from vaelib.models import Model, Progress
from vaelib.training.config import TrainConfig
from vaelib.training.history import Row
from vaelib.training.machine import Machine
from vaelib.training.players import TrainedPlayer
from vaelib.training.randomness import seed_noise


def validate(
    model: Model, players: list[TrainedPlayer], data: ImageSet, config: TrainConfig, machine: Machine, images: int
) -> Row:
    """Every term of every player's loss, in nats per image, as at the end of training: all warm-ups are over.

    The noise is the same every time, so two validations differ only by the weights. The model is left in training mode.

    Args:
        images: number of training images, for losses that know the size of the data set.
    """
    count = min(len(data), config.validation_images or len(data))
    sums: dict[str, float] = defaultdict(float)
    model.eval()
    with torch.inference_mode(), machine.autocast():
        for rows in slices(count, config.batch_size):
            indices = torch.arange(rows.start, rows.stop)
            batch = machine.batch(data, indices)
            for player in players:
                seed_noise(machine.device, config.seed, "validation", int(indices[0]), player.index)
                # A training set that is one batch may be an image smaller than a batch here.
                loss = model(batch, Progress.finished(max(images, len(indices))), player.index)
                for name, mean in loss.summary().items():
                    sums[player.prefix + name] += mean * len(indices)
    model.train()
    return {name: total / count for name, total in sums.items()}
