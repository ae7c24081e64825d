"""What the disentanglement scores share: the checks of their two tables, and how rows are drawn and split."""

from dataclasses import dataclass

import torch
from torch import Tensor

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


@dataclass(frozen=True, eq=False)
class Rows:
    """Codes and factors that have been found fit for a score.

    Attributes:
        codes: (N, D) float64 on the CPU.
        classes: (N, K) int64; those of each factor are renumbered to 0, 1, ….
        sizes: how many classes each factor has.
    """

    codes: Tensor
    classes: Tensor
    sizes: tuple[int, ...]

    @property
    def largest_shares(self) -> Tensor:
        """(K,), the share of each factor's most frequent class: what an unvarying answer gets right."""
        shares = [column.bincount().max().item() / len(column) for column in self.classes.T]
        return torch.tensor(shares, dtype=torch.float64)

    def standardised(self) -> Tensor:
        """The codes with mean 0 and standard deviation 1 in each latent; a constant latent is 0."""
        centred = self.codes - self.codes.mean(0)
        deviation = centred.square().mean(0).sqrt()
        constant = self.codes.amax(0) == self.codes.amin(0)
        return torch.where(constant, 0.0, centred / deviation.where(~constant, torch.ones_like(deviation)))


def rows_of(codes: Tensor, factors: Tensor, *, fewest_factors: int = 1) -> Rows:
    """The checks of all scores.

    Raises:
        ValueError: whatever would make a score meaningless; the message says what to do.
    """
    for name, table in (("codes", codes), ("factors", factors)):
        if not isinstance(table, Tensor):
            raise ValueError(f"{name} should be a torch.Tensor, not {type(table).__name__}: use torch.as_tensor")
    if codes.dim() != 2 or not codes.is_floating_point():
        raise ValueError(
            f"codes should be (N, D) floats, one row for each image, not {tuple(codes.shape)} {codes.dtype}: "
            "for a VAE, take the means that `encode` gives"
        )
    if factors.dim() != 2 or factors.dtype not in INTEGERS:
        raise ValueError(
            f"factors should be (N, K) integers, the class of each factor, not {tuple(factors.shape)} {factors.dtype}: "
            "number the values of a factor 0, 1, …, and give a single factor as factors[:, None]"
        )
    if len(codes) != len(factors):
        raise ValueError(f"{len(codes)} codes but {len(factors)} rows of factors: both take one row for each image")
    if len(codes) == 0:
        raise ValueError("no rows: a score takes codes of thousands of images")
    if codes.shape[1] < 2:
        raise ValueError(
            f"codes have {_number(codes.shape[1], 'latent')}: which of the latents knows a factor can only be asked of "
            "two or more"
        )
    if factors.shape[1] < fewest_factors:
        raise ValueError(
            f"factors have {_number(factors.shape[1], 'column')}: this score asks which factor it is, and that takes "
            f"at least {fewest_factors}"
        )
    if not codes.isfinite().all():
        bad = (~codes.isfinite()).any(1)
        raise ValueError(
            f"{_number(int(bad.sum()), 'row')} of codes hold NaN or infinity, first row {int(bad.nonzero()[0])}: "
            "look for what went wrong in the encoder"
        )
    classes, sizes = [], []
    for number, column in enumerate(factors.cpu().T):
        values, renumbered = column.unique(return_inverse=True)
        if len(values) < 2:
            raise ValueError(
                f"factor {number} (column {number} of factors) is constant, {values[0].item()} in every row: there is "
                "nothing to tell apart; leave the column out"
            )
        if len(column) < 2 * len(values):
            raise ValueError(
                f"factor {number} has {len(values)} classes, but there are only {len(column)} rows: too few samples, "
                f"at least two a class ({2 * len(values)}) and better hundreds; encode more images, or merge classes"
            )
        classes.append(renumbered)
        sizes.append(len(values))
    return Rows(codes.detach().double().cpu(), torch.stack(classes, dim=1), tuple(sizes))


def own_generator(generator: torch.Generator | None) -> torch.Generator:
    """A generator on the CPU, seeded by a draw from the one given, or with 0 where none is."""
    own = torch.Generator()
    if generator is None:
        return own.manual_seed(0)
    return own.manual_seed(int(torch.randint(2**31, (), generator=generator, device=generator.device)))


def seed_from(generator: torch.Generator) -> int:
    """For a library that takes an integer."""
    return int(torch.randint(2**31, (), generator=generator))


def split(count: int, test_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows to learn from, and other rows to test on.

    Raises:
        ValueError: a share outside (0, 1), or so near an end that a side stays empty.
    """
    held_out = round(count * test_share)
    if not 0 < held_out < count:
        raise ValueError(
            f"test_share = {test_share} of {count} rows leaves nothing to test on or nothing to learn from: it should "
            "be between 0 and 1, for instance 0.3"
        )
    order = torch.randperm(count, generator=generator)
    return order[held_out:], order[:held_out]


class Mates:
    """Draws rows that share the class of one factor, each as likely as any other."""

    def __init__(self, classes: Tensor, generator: torch.Generator) -> None:
        """classes: (N,), those of one factor."""
        self.order = classes.argsort(stable=True)
        counts = classes.bincount()
        starts = counts.cumsum(0) - counts
        # By place in the order: where the class begins, and how many rows it has.
        self.start, self.count = starts[classes[self.order]], counts[classes[self.order]]
        self.shared = (self.count > 1).nonzero().squeeze(1)
        self.generator = generator

    def _below(self, limits: Tensor) -> Tensor:
        uniform = torch.rand(limits.shape, generator=self.generator, dtype=torch.float64)
        return (uniform * limits).long()

    def pairs(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Two different rows of one class each, both of this shape; the first row is uniform over the rows."""
        # Had a row been let to meet itself, factors of small classes would be known by their zero differences.
        first = self.shared[self._below(torch.full(shape, len(self.shared)))]
        start, count = self.start[first], self.count[first]
        second = start + (first - start + 1 + self._below(count - 1)) % count
        return self.order[first], self.order[second]

    def groups(self, number: int, size: int) -> Tensor:
        """(number, size) rows, those of each group of one class, with replacement."""
        first = self.shared[self._below(torch.full((number, 1), len(self.shared)))]
        return self.order[self.start[first] + self._below(self.count[first].expand(number, size))]


def at_least(value: int, lowest: int, what: str) -> None:
    """Refuse a keyword that is too small."""
    if value < lowest:
        raise ValueError(f"{what} should be at least {lowest}, not {value}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
