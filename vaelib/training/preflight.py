"""What is checked before the first step, so that no run fails later on what could be seen now."""

import os

from vaelib.data.image_set import ImageSet
from vaelib.models import Model
from vaelib.training.config import TrainConfig


def check_arguments(
    model: Model, data: ImageSet, config: TrainConfig, validation: ImageSet | None, has_run: bool
) -> None:
    """Raise unless this model can be trained on these images with these settings.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: arguments that do not fit together.
    """
    if not isinstance(model, Model):
        raise TypeError(f"train takes a vaelib model first, not a {type(model).__name__}")
    if not isinstance(config, TrainConfig):
        raise TypeError(f"train takes a TrainConfig, not a {type(config).__name__}")
    for images, what in ((data, "data"), (validation, "validation data")):
        if images is None and what == "validation data":
            continue
        if not isinstance(images, ImageSet):
            raise TypeError(
                f"the {what} should be an ImageSet, not a {type(images).__name__}: take vaelib.data.load(…), or "
                "vaelib.data.ImageSet(images, name, split, key) around your own uint8 images (N, C, H, W)"
            )
        if len(images) == 0:
            raise ValueError(f"the {what} ({images.name}, {images.split}) has no images")
        if tuple(images.image_shape) != tuple(model.image_shape):
            raise ValueError(
                f"this {type(model).__name__} takes images of shape {tuple(model.image_shape)}, but the {what} "
                f"({images.name}) has {images.image_shape}: build it with image_shape={images.image_shape}, or load "
                "the data at the model's size"
            )
    together = {"batch_size": config.batch_size}
    if validation is not None:
        together["images for validation"] = min(len(validation), config.validation_images or len(validation))
    for what, count in together.items():
        if count < model.smallest_batch:
            raise ValueError(
                f"{what}: {count} is too few: this {type(model).__name__} compares the images of a batch, and takes "
                f"{model.smallest_batch} or more at a time"
            )
    if config.batch_size > len(data):
        raise ValueError(
            f"batch_size {config.batch_size} is more than the {len(data)} images of {data.name}: take a smaller batch "
            "or more images"
        )
    if config.checkpoint_activations and model.checkpoint_activations is None:
        raise ValueError(
            f"checkpoint_activations=True is for an NVAE; this {type(model).__name__} keeps all activations: leave "
            "it out, and take smaller batches with accumulate=… to save memory"
        )
    if config.checkpoint_activations and config.compile:
        raise ValueError("take checkpoint_activations or compile: compiled cells choose for themselves what they keep")
    if config.tensorboard and not has_run:
        raise ValueError("tensorboard=True needs a run folder to log to: give train(…, run='NAME')")


def check_processes(config: TrainConfig, processes: int) -> None:
    """Raise unless these processes can share the work.

    Raises:
        ValueError: the batch cannot be shared out.
        RuntimeError: the launcher started several processes that know nothing of each other.
    """
    if config.batch_size % processes:
        raise ValueError(f"batch_size {config.batch_size} cannot be shared out evenly to {processes} processes")
    if processes == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RuntimeError(
            "several processes were launched, but each found itself alone and would write over the others: start them "
            "with `accelerate launch --multi_gpu --num_processes N`"
        )
