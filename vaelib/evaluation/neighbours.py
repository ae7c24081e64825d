"""Nearest neighbours and balls among features: exact, in bounded memory, whatever the number of images.

Squared distances come from one matrix product, |x|² + |y|² − 2 x·y, which is fast and loses digits where x is close to
y. So it is taken in float64 about the common mean, the neighbours that it finds are measured again by subtraction, and
a point counts as inside a ball as soon as it is inside up to rounding: a copy of the centre always is, even when the
radius is zero.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Numbers of the distance matrix that are held at a time: 4 million float64 are 32 MB.
BLOCK = 2**22

# Of |x|² + |y|²: some ten times what rounding in float64 can do to a sum of 2,048 products.
ROUNDING = 1e-11


class Neighbours(NamedTuple):
    """The nearest references of each query.

    Attributes:
        distances: (N, k) float64, nearest first.
        indices: (N, k), rows of the references.
    """

    distances: Tensor
    indices: Tensor


def check_features(**named: Tensor) -> None:
    """Raise a ValueError unless these are features (N, D) of one D, all finite."""
    for name, features in named.items():
        if features.dim() != 2 or not features.is_floating_point():
            raise ValueError(f"{name} should be features (N, D), not {features.dtype} {tuple(features.shape)}")
        if not features.isfinite().all():
            raise ValueError(f"{name} should be finite features, but hold NaN or infinity")
    widths = {name: features.shape[1] for name, features in named.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ValueError(f"features should be of one width, not {listed}: compute all by one network")


def nearest_neighbours(queries: Tensor, references: Tensor, k: int = 1) -> Neighbours:
    """The k nearest references of each query, by Euclidean distance.

    Args:
        queries, references: features (N, D) and (M, D), M at least k.
    Raises:
        ValueError: k below 1 or above the number of references, features of two widths, NaN.
    """
    check_features(queries=queries, references=references)
    _check_k(k, len(references), "references")
    return _nearest(queries, references, k, among_themselves=False)


def ball_radii(features: Tensor, k: int) -> Tensor:
    """How far the k-th nearest *other* row is from each row: (N,) float64. Copies of a row count as others.

    Raises:
        ValueError: k below 1, or not k others.
    """
    check_features(features=features)
    _check_k(k, len(features) - 1, "other images")
    return _nearest(features, features, k, among_themselves=True).distances[:, -1]


def inside_balls(points: Tensor, centres: Tensor, radii: Tensor) -> Iterator[Tensor]:
    """Which points lie in which closed balls, a block of balls at a time: (some centres, N) bool.

    Args:
        points: (N, D); centres: (M, D); radii: (M,).
    """
    for rows, squares, slack in _squared_distances(centres, points):
        yield squares <= radii[rows, None] ** 2 + slack


def _nearest(queries: Tensor, references: Tensor, k: int, *, among_themselves: bool) -> Neighbours:
    distances, indices = [], []
    for rows, squares, _ in _squared_distances(queries, references):
        if among_themselves:
            here = torch.arange(rows.start, rows.stop)
            squares[here - rows.start, here] = torch.inf
        found = squares.topk(k, dim=1, largest=False).indices
        exact = torch.stack(
            [(queries[rows].double() - references[column].double()).norm(dim=1) for column in found.T], dim=1
        )
        exact, order = exact.sort(dim=1, stable=True)
        distances.append(exact)
        indices.append(found.gather(1, order))
    if not distances:
        return Neighbours(torch.empty(0, k, dtype=torch.float64), torch.empty(0, k, dtype=torch.long))
    return Neighbours(torch.cat(distances), torch.cat(indices))


def _squared_distances(queries: Tensor, references: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Blocks of rows, their squared distances to all references, and how wrong rounding can have made each."""
    centre = references.double().mean(dim=0)
    references = references.double() - centre
    squared = references.square().sum(dim=1)
    size = max(1, BLOCK // max(1, len(references)))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        some = queries[rows].double() - centre
        norms = some.square().sum(dim=1, keepdim=True) + squared
        yield rows, norms - 2 * some @ references.T, ROUNDING * norms


def _check_k(k: int, available: int, what: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k should be a whole number of at least 1, not {k!r}")
    if available < k:
        raise ValueError(f"a {k}-th nearest neighbour takes at least {k} {what}, not {max(available, 0)}")
