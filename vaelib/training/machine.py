"""The machine a run is on: its device, its number format, and the other processes of the run."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from vaelib.data.image_set import Batch, ImageSet
from vaelib.training.config import TrainConfig
from vaelib.training.history import Row
from vaelib.training.precision import resolve_precision

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# An in-memory set goes to the GPU as a whole where it takes no more than this share of the memory that is free.
SHARE_OF_GPU_FOR_DATA = 0.25


class Machine:
    """What accelerate found, and the few things that the loop asks of it.

    Attributes:
        device: where this process computes; `processes`: how many there are; `process`: which one this is.
        is_main: whether this process writes files and the progress bar; the others are silent.
        precision: `float32`, `bfloat16` or `float16`.
    """

    def __init__(self, config: TrainConfig) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # With several players, each backward pass leaves out the parameters of the others.
        wrapping = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=not has_gpu(), mixed_precision="no", kwargs_handlers=[wrapping])
        self.device: torch.device = self.accelerator.device
        self.processes: int = self.accelerator.num_processes
        self.process: int = self.accelerator.process_index
        self.is_main: bool = self.accelerator.is_main_process
        self.precision = resolve_precision(config.precision, self.device)
        self.layout = torch.channels_last if config.channels_last else torch.contiguous_format

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the processes; with one process, the model itself."""
        return self.accelerator.prepare_model(model)

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients add up in each process by itself."""
        return self.accelerator.no_sync(wrapped)

    def autocast(self) -> AbstractContextManager[None]:
        """Inside, matrix products and convolutions run in `precision`."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])

    def place(self, data: ImageSet) -> ImageSet:
        """The set on the GPU, where it fits easily; else as it is."""
        if self.device.type != "cuda":
            return data
        free, _ = torch.cuda.mem_get_info(self.device)
        if data.images.nbytes > SHARE_OF_GPU_FOR_DATA * free:
            return data
        return replace(
            data,
            images=data.images.to(self.device),
            labels=None if data.labels is None else data.labels.to(self.device),
        )

    def batch(self, data: ImageSet, indices: Tensor) -> Batch:
        """These images on the device, float32 in [0, 1], in the memory layout of the run."""
        images, labels = data.batch(indices.to(data.images.device))
        if self.device.type == "cuda" and not images.is_cuda:
            images, labels = images.pin_memory(), None if labels is None else labels.pin_memory()
        return Batch(
            images.to(self.device, non_blocking=True).contiguous(memory_format=self.layout),
            None if labels is None else labels.to(self.device, non_blocking=True),
        )

    def anywhere(self, flag: bool) -> bool:
        """Whether the flag is up in any process: all must stop at the same step, or the rest would wait for ever."""
        if self.processes == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.device), reduction="sum") > 0)

    def mean(self, row: Row) -> Row:
        """Every number, averaged over the processes, which must all have the same names."""
        if self.processes == 1 or not row:
            return row
        values = torch.tensor(list(row.values()), device=self.device)
        return dict(zip(row, self.accelerator.reduce(values, reduction="mean").tolist(), strict=True))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the main one's values."""
        if self.processes > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    @contextmanager
    def convolutions(self, deterministic: bool) -> Iterator[None]:
        """Inside, cuDNN takes only algorithms that repeat their results to the bit, or whichever it finds fastest."""
        cudnn = torch.backends.cudnn
        former = cudnn.deterministic, cudnn.benchmark
        cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
        try:
            yield
        finally:
            cudnn.deterministic, cudnn.benchmark = former


def has_gpu() -> bool:
    """Whether torch sees a GPU. Without one, accelerate has to be told so, or it would not join processes on CPUs."""
    return torch.cuda.is_available() or torch.backends.mps.is_available() or torch.xpu.is_available()
