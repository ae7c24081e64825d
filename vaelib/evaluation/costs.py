"""What a model costs before it exists: parameters, operations and memory, counted on tensors without numbers.

The model is built of *fake* tensors: they have a shape and a type, as on PyTorch's meta device, and no memory. A step
of training runs through them, and we look at what passes by.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vaelib.data.image_set import Batch
from vaelib.models import MODELS, Model, Progress
from vaelib.probability import logistic_mixture

# Images in the batch that is counted: a prime, so that a tensor whose first side is this is one number per image.
COUNTED = 127


@dataclass(frozen=True)
class ModelCost:
    """What one network costs. Bytes are exact for eager PyTorch; the allocator and work space come on top.

    Attributes:
        parameters: learned numbers.
        latents: numbers in the latents of one image.
        forward_flops: operations of the loss of one image, by matrix products and convolutions; a multiplication and
            an addition are two. Activations, norms and likelihoods are not counted.
        step_flops: what a step costs once, however many images it has: the spectral regularisation.
        activation_bytes: kept from the forward pass for the backward pass, per image.
        shared_bytes: kept as well, however many images there are: normalised weights.
        weight_bytes: weights and buffers, float32.
        optimiser_bytes: gradients and the two moments of Adam or Adamax.
        mixed: whether products are taken in 16 bits.
    """

    parameters: int
    latents: int
    forward_flops: float
    step_flops: float
    activation_bytes: float
    shared_bytes: int
    weight_bytes: int
    optimiser_bytes: int
    mixed: bool

    @property
    def training_flops(self) -> float:
        """Operations of training on one image: forward, and twice that for gradients of inputs and of weights."""
        return 3 * self.forward_flops

    def training_bytes(self, batch_size: int) -> float:
        """Memory of one step on this many images."""
        return self.weight_bytes + self.optimiser_bytes + self.shared_bytes + batch_size * self.activation_bytes


@dataclass(frozen=True)
class CostAssumptions:
    """What a training is taken to cost. None of these is measured: put your own in.

    Attributes:
        gpu: the accelerator whose hours are counted.
        peak_flops: operations per second that its data sheet promises, in the precision of the training.
        utilisation: which part of that a training gets. The hours of the published NVAEs are those of about 1 to 2 %;
            large matrix products reach fifty times as much.
        watts: drawn by one GPU at work.
        overhead: what the machine around it and the cooling draw, as a factor.
        price_per_gpu_hour: rent; `currency`: in which money.
    """

    gpu: str = "V100"
    peak_flops: float = 125e12
    utilisation: float = 0.01
    watts: float = 300.0
    overhead: float = 1.5
    price_per_gpu_hour: float = 2.5
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in ("peak_flops", "utilisation", "watts", "overhead", "price_per_gpu_hour"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} should be positive and finite, not {getattr(self, name)}")
        if self.utilisation > 1:
            raise ValueError(f"utilisation should be at most 1, not {self.utilisation}")

    def gpu_hours(self, flops: float) -> float:
        """FLOPs / (peak · utilisation), in hours."""
        return flops / (self.peak_flops * self.utilisation) / 3600

    def kilowatt_hours(self, gpu_hours: float) -> float:
        """GPU-hours · watts · overhead / 1000."""
        return gpu_hours * self.watts * self.overhead / 1000

    def price(self, gpu_hours: float) -> float:
        """GPU-hours · price."""
        return gpu_hours * self.price_per_gpu_hour


class _Answers(TorchDispatchMode):
    """Questions about numbers, which do not exist here: every check passes, every number is 0."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return True if args[0].dtype is torch.bool else 0
        return func(*args, **(kwargs or {}))


@contextmanager
def without_numbers() -> Iterator[None]:
    """Tensors made inside have shapes and types, and neither numbers nor memory; no check of values fails."""
    pieces = logistic_mixture.NUMBERS_IN_CACHE
    logistic_mixture.NUMBERS_IN_CACHE = 2**62
    try:
        with FakeTensorMode(), _Answers():
            yield
    finally:
        logistic_mixture.NUMBERS_IN_CACHE = pieces


def model_cost(config: Any, *, mixed: bool = True) -> ModelCost:
    """Count one training step of the model that these settings describe. Nothing is allocated.

    Args:
        config: of any model, such as `NVAEConfig()`.
        mixed: under autocast to 16 bits, as large models are trained; else float32.
    Raises:
        ValueError: there is no model with such settings.
    """
    kinds = [kind for kind in MODELS.values() if kind.Config is type(config)]
    if not kinds:
        raise ValueError(f"{type(config).__name__} describes no model of vaelib; it should be one of MODELS' settings")
    with torch.random.fork_rng(devices=[]), without_numbers():
        model = kinds[0](config)
        model.train()
        for module in model.modules():
            if getattr(module, "waits_for_data", None) is not None:
                module.waits_for_data = None  # type: ignore[assignment]  # happens once, in the first step
        return _counted(model, mixed)


def _counted(model: Model, mixed: bool) -> ModelCost:
    """The cost of a model of fake tensors."""
    images = torch.rand(COUNTED, *model.image_shape)
    sizes = getattr(model.config, "label_sizes", ())
    labels = torch.zeros(COUNTED, len(sizes) or 1, dtype=torch.long)[:, 0 if len(sizes) < 2 else slice(None)]
    batch = Batch(images, labels if sizes else None)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    flops = once = 0.0
    activations = shared = 0
    for player in model.players():
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor, kept: dict[int, Tensor] = kept) -> Tensor:
            if tensor.untyped_storage()._cdata not in own:
                kept[tensor.untyped_storage()._cdata] = tensor  # the tensor too, so that its address stays taken
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16, enabled=mixed), hooks:
            player.loss(batch, Progress(0, 10, 10_000))
        regulariser = sum(
            sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name.endswith("SpectralNorms")
        )
        once += regulariser
        flops += counter.get_total_flops() - regulariser
        per_image = [tensor for tensor in kept.values() if tensor.dim() and tensor.shape[0] == COUNTED]
        size = sum(tensor.untyped_storage().nbytes() for tensor in per_image)
        everything = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        activations, shared = max(activations, size), max(shared, everything - size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCost(
        parameters=parameters,
        latents=model.config.latent_dimension,
        forward_flops=flops / COUNTED,
        step_flops=once,
        activation_bytes=activations / COUNTED,
        shared_bytes=shared,
        weight_bytes=_bytes(model),
        optimiser_bytes=3 * 4 * parameters,
        mixed=mixed,
    )


def _bytes(model: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
