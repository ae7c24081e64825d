"""What happens when a loss stops being a number: the run stops, and the layer where it began is named."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from vaelib.models import Loss


class NonFiniteError(FloatingPointError):
    """A loss or a gradient was NaN or infinite. The weights are still as the step before left them."""


def explain(model: nn.Module, forwards: Iterable[Callable[[], Loss]]) -> str:
    """Repeat a bad step, watched: which layer, loss term or parameter was the first to be NaN or infinite?

    Args:
        model: with the weights, and in the mode, of the bad step.
        forwards: each repeats one of the step's forward passes under the noise that it had.
    """
    model.zero_grad(set_to_none=True)
    for forward in forwards:
        found, loss = _watch_forward(model, forward)
        if loss is not None:
            found = found or _bad_term(loss) or _watch_backward(model, loss)
        if found:
            return found
    return (
        "repeating the step gave finite numbers: the norm of the gradient overflowed, or another process of this run "
        "made the bad number"
    )


def all_finite(value: Any) -> bool:
    """Whether every number in a tensor, or in a sequence or mapping of tensors, is finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, dict):
        return all(all_finite(item) for item in value.values())
    return all(all_finite(item) for item in value) if isinstance(value, (tuple, list)) else True


def _watch_forward(model: nn.Module, forward: Callable[[], Loss]) -> tuple[str, Loss | None]:
    """The first layer whose output is not finite. A layer's hook fires before that of its container."""
    found: list[str] = []
    # What belongs to no layer: the constant from which a decoder starts.
    loose = [key for key, value in model.named_parameters(recurse=False) if not all_finite(value)]

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if found or all_finite(output):
                return
            weights = [key for key, value in module.named_parameters() if not all_finite(value)]
            cause = "finite input and finite weights" if all_finite(inputs) else "an input that already was not"
            cause += f"; the model's own {', '.join(loose)} is not finite" if loose else ""
            cause = f"weights that are not finite ({', '.join(weights)})" if weights else cause
            found.append(f"layer {name!r} ({type(module).__name__}) is the first with such an output, from {cause}")

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    loss = None
    try:
        loss = forward()
    except (ValueError, RuntimeError):
        if not found:  # else it is a consequence: something further on refused the bad numbers
            raise
    finally:
        for handle in hooks:
            handle.remove()
    return (found[0] if found else ""), loss


def _bad_term(loss: Loss) -> str:
    terms = {**loss.per_image, **loss.per_batch, "total": loss.total}
    bad = [name for name, term in terms.items() if not all_finite(term)]
    return f"every layer gave finite numbers, but of the loss {' and '.join(bad)} did not" if bad else ""


def _watch_backward(model: nn.Module, loss: Loss) -> str:
    """The first parameter, as the gradient travels back from the loss, whose gradient is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            if not found and not all_finite(parameter.grad):
                found.append(
                    f"the loss is finite, but going back from it, {name!r} is the first parameter with such a gradient"
                )

        return hook

    hooks = [
        parameter.register_post_accumulate_grad_hook(watch(name))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    try:
        loss.total.backward()
    finally:
        for handle in hooks:
            handle.remove()
    model.zero_grad(set_to_none=True)
    return found[0] if found else ""
