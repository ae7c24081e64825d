"""How a set is cut into slices for a loss: all images, each once, and never one alone."""

import pytest

from vaelib.data.image_set import slices


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_slices_cover_everything_once_in_order_and_leave_no_image_alone(size):
    for count in range(1, 60):
        rows = slices(count, size)
        assert [index for some in rows for index in range(count)[some]] == list(range(count))
        lengths = [some.stop - some.start for some in rows]
        assert max(lengths) <= size + (size > 1)
        # A single image only where there is no other, or where the user asked for it.
        assert min(lengths) > 1 or size == 1 or count == 1


def test_a_left_over_image_joins_the_slice_before():
    assert slices(9, 4) == [slice(0, 4), slice(4, 9)]
    assert slices(10, 4) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert slices(8, 4) == [slice(0, 4), slice(4, 8)]
    assert slices(0, 4) == []
