"""How NVAE's rate is weighed while training begins: warmed up, and balanced between the groups.

Without this the groups at the finest scale, which hold most latents, take all the information at once, and the coarse
ones, whose posteriors then say nothing, never recover. Source: Vahdat & Kautz 2020, section 4 and appendix A.
"""

import torch
from torch import Tensor


def kl_weight(fraction: float, *, constant: float, constant_portion: float, warmup: float) -> float:
    """β: `constant` for a portion of the run, then linearly up to 1.

    Args:
        fraction: of the run, from 0 to 1.
        constant: the smallest weight.
        constant_portion, warmup: parts of the run.
    """
    risen = (fraction - constant_portion) / warmup if warmup else float(fraction >= constant_portion)
    return max(min(risen, 1.0), constant)


def expected_shares(groups: tuple[int, ...]) -> Tensor:
    """α of each group, coarsest first: as latents of its scale, (2^i)², over groups at its scale; the smallest is 1."""
    shares = torch.tensor([4.0**scale / count for scale, count in enumerate(groups) for _ in range(count)])
    return shares / shares.min()


def balance(kl_per_group: Tensor, groups: tuple[int, ...]) -> Tensor:
    """γ of each group, (groups,), with mean 1: more than 1 for a group that holds more than its share.

    γ_i is proportional to the KL of the group over α_i, so a group with little information is taxed little and fills
    up. No gradient passes.

    Args:
        kl_per_group: (B, groups), in nats.
        groups: how many each scale has, coarsest first.
    """
    held = kl_per_group.detach().abs().mean(dim=0) + 0.01
    weights = held / expected_shares(groups).to(held)
    return weights / weights.mean()


def finest_tax(fraction: float, groups: tuple[int, ...], *, tax: float, portion: float) -> Tensor:
    """The factor on the rate of each group, (groups,): `tax` at the finest scale at first, 1 after `portion`.

    It falls log-linearly. Groups at other scales pay 1 all the time. Ours, not published.

    Args:
        fraction: of the run, from 0 to 1.
    """
    left = max(1 - fraction / portion, 0.0) if portion else 0.0
    coarse = sum(groups[:-1])
    return torch.tensor([1.0] * coarse + [tax**left] * groups[-1])


def regularisation_weight(beta: float, final: float, start: float | None) -> float:
    """λ: `final`, or on its way there from `start`, log λ = (1 − β) log λ_start + β log λ_final."""
    return final if start is None else start ** (1 - beta) * final**beta
