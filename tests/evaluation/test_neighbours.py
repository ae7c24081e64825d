"""Nearest neighbours and balls against scikit-learn and against distances taken by subtraction."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from vaelib.evaluation import nearest_neighbours
from vaelib.evaluation.neighbours import ball_radii, inside_balls


def cloud(rows: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_are_those_of_scikit_learn(k):
    queries, references = cloud(30, 7, 0), cloud(50, 7, 1)
    distances, indices = nearest_neighbours(queries, references, k)
    expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(references.double().numpy())
    their_distances, their_indices = expected.kneighbors(queries.double().numpy())
    np.testing.assert_allclose(distances.numpy(), their_distances)
    np.testing.assert_array_equal(indices.numpy(), their_indices)


def test_all_references_may_be_asked_for():
    distances, indices = nearest_neighbours(cloud(3, 2, 0), cloud(5, 2, 1), 5)
    assert (distances.diff(dim=1) >= 0).all()
    assert (indices.sort(dim=1).values == torch.arange(5)).all()


def test_a_copy_is_at_distance_zero_exactly():
    """By |x|² + |y|² − 2 x·y it would be at 1e-3 or so, and in float32 at 10."""
    references = cloud(50, 1280, 0) + 1e3
    distances, indices = nearest_neighbours(references[[7, 3]], references)
    assert indices.flatten().tolist() == [7, 3]
    assert (distances == 0).all()


def test_pairs_much_closer_than_the_cloud_is_wide_keep_their_digits():
    references = cloud(50, 40, 0).double()
    nudged = references + 1e-6 * cloud(50, 40, 1).double()
    distances, indices = nearest_neighbours(nudged, references)
    assert torch.equal(indices.flatten(), torch.arange(50))
    torch.testing.assert_close(distances.flatten(), (nudged - references).norm(dim=1), rtol=1e-9, atol=0)


def test_a_row_is_not_its_own_neighbour_but_its_copy_is():
    points = torch.tensor([[0.0], [0.0], [3.0], [10.0]])
    assert ball_radii(points, 1).tolist() == [0, 0, 3, 7]
    assert ball_radii(points, 3).tolist() == [10, 10, 7, 10]


def test_balls_are_closed():
    centres, radii = torch.tensor([[0.0], [5.0]]), torch.tensor([2.0, 0.0])
    points = torch.tensor([[2.0], [-2.0], [2.001], [5.0]])
    (inside,) = inside_balls(points, centres, radii)
    assert inside.tolist() == [[True, True, False, False], [False, False, False, True]]


def test_how_much_is_held_at_a_time_changes_nothing(monkeypatch):
    queries, references = cloud(33, 5, 0), cloud(20, 5, 1)
    whole, radii = nearest_neighbours(queries, references, 3), ball_radii(references, 2)
    inside = torch.cat(list(inside_balls(queries, references, radii)))
    monkeypatch.setattr("vaelib.evaluation.neighbours.BLOCK", 45)
    parts = list(inside_balls(queries, references, radii))
    assert len(parts) > 10
    assert torch.equal(torch.cat(parts), inside)
    again = nearest_neighbours(queries, references, 3)
    assert torch.equal(again.indices, whole.indices)
    assert torch.equal(again.distances, whole.distances)
    assert torch.equal(ball_radii(references, 2), radii)


def test_nothing_has_no_neighbours():
    distances, indices = nearest_neighbours(torch.empty(0, 3), cloud(5, 3, 0), 2)
    assert distances.shape == indices.shape == (0, 2)


@pytest.mark.parametrize(
    ("queries", "references", "k", "message"),
    [
        (cloud(3, 2, 0), cloud(4, 2, 0), 5, "a 5-th nearest neighbour takes at least 5 references, not 4"),
        (cloud(3, 2, 0), cloud(0, 2, 0), 1, "at least 1 references, not 0"),
        (cloud(3, 2, 0), cloud(4, 2, 0), 0, "k should be a whole number of at least 1, not 0"),
        (cloud(3, 2, 0), cloud(4, 2, 0), True, "k should be a whole number of at least 1, not True"),
        (cloud(3, 2, 0), cloud(4, 3, 0), 1, "of one width, not queries 2, references 3"),
        (torch.full((3, 2), math.inf), cloud(4, 2, 0), 1, "queries should be finite features"),
        (cloud(3, 2, 0)[0], cloud(4, 2, 0), 1, r"queries should be features \(N, D\), not torch.float32 \(2,\)"),
    ],
)
def test_what_has_no_neighbours_is_refused(queries, references, k, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(queries, references, k)
