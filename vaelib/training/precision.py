"""Which number format to multiply in.

Precision is torch.autocast here and not accelerate's, since accelerate fixes it once per Python process, and a notebook
trains several models.
"""

import sys
from typing import Any

import torch

from vaelib.training.config import Precision


def resolve_precision(precision: Precision, device: torch.device) -> str:
    """`float32`, `bfloat16` or `float16`; `auto` is bfloat16 where the hardware multiplies in it.

    Raises:
        ValueError: float16 without a GPU, where nothing would be faster and gradients would vanish.
    """
    if precision == "auto":
        return "bfloat16" if fast_bfloat16(device) else "float32"
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision 'float16' needs a GPU: take 'auto', 'bfloat16' or 'float32' on a CPU")
    return precision


def fast_bfloat16(device: torch.device) -> bool:
    """Whether this device has instructions for bfloat16. Emulated, it would be several times slower than float32."""
    if device.type == "cuda":
        # Ampere is the first generation with bfloat16 units; torch also says yes to ones that emulate it.
        return torch.cuda.get_device_capability(device) >= (8, 0) or torch.version.hip is not None
    if device.type == "cpu":
        return cpu_has_bfloat16()
    return False


def cpu_has_bfloat16() -> bool:
    """AVX-512 BF16 or AMX on x86, the BF16 extension on ARM; False where torch cannot tell."""
    # What torch knows about processors has private or recent names, so their absence only costs speed.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if any(getattr(torch.cpu, question, bool)() for question in questions):
        return True
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    # oneDNN has kernels for ARM's bfloat16 on Linux; Apple's processors have the instructions but torch no kernels.
    return sys.platform == "linux" and torch.backends.mkldnn.is_available() and bool(capabilities.get("bf16"))
