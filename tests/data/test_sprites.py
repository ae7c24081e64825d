"""Sprites: areas and places against closed forms, symmetries, the grid of factors, and what is drawn from it."""

import hashlib
import math

import pytest
import torch

from vaelib.data import Sprites, load, sprites
from vaelib.data.sprites import COLOUR_FACTORS, FACTORS, SHAPES, SPLITS, coverage, draw_factors, render, shuffled

SQUARE, ELLIPSE, HEART = range(3)


def factors_of(**classes: int | list[int]) -> torch.Tensor:
    """Factors (N, 5), those not named in the middle of their range or 0; one row for each value of a list."""
    known = {"shape": SQUARE, "scale": 5, "rotation": 0, "x": 15, "y": 15} | classes
    count = max(len(value) if isinstance(value, list) else 1 for value in known.values())
    columns = [value if isinstance(value, list) else [value] * count for value in known.values()]
    return torch.tensor(columns).T


def centre_of_mass(shares: torch.Tensor) -> torch.Tensor:
    """(N, 1, size, size) → (N, 2): x from the left and y from the top, as fractions of the side."""
    middles = (torch.arange(shares.shape[-1]) + 0.5) / shares.shape[-1]
    moments = [(shares.sum(dim)[:, 0] * middles).sum(1) for dim in (2, 3)]
    return torch.stack(moments, dim=1) / shares.sum(dim=(2, 3))


# The shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (SQUARE, 0.32**2),
        (ELLIPSE, math.pi * 0.23 * 0.14),
        (HEART, 0.24**2 + math.pi * 0.12**2),  # a square and two half discs
    ],
    ids=SHAPES,
)
def test_the_area_of_each_shape_is_that_of_its_formula_at_every_scale_and_angle(shape, area):
    scales = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    for rotation in (0, 7, 13):
        drawn = coverage(factors_of(shape=shape, scale=list(range(6)), rotation=rotation), 256).mean(dim=(1, 2, 3))
        expected = area * torch.tensor(scales) ** 2
        torch.testing.assert_close(drawn, expected, rtol=2e-3, atol=0)


@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_the_centre_of_mass_is_where_x_and_y_say_whatever_the_rotation(shape):
    across, down = [0, 9, 31], [31, 4, 0]
    for rotation in (0, 5, 16):
        found = centre_of_mass(coverage(factors_of(shape=shape, rotation=rotation, x=across, y=down), 128))
        expected = 0.25 + 0.5 * torch.tensor([across, down]).T / 31
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-4)


def test_a_step_of_whole_pixels_moves_the_picture_and_changes_nothing_else():
    # 31 steps are half the side: at 62 pixels each step is one pixel.
    for shape in range(3):
        first, right, below = render(factors_of(shape=shape, rotation=3, x=[10, 11, 10], y=[20, 20, 21]), 62)
        # Where a point lies to within a rounding error, an eight-bit level may tip over.
        assert (first.roll(1, 2).int() - right.int()).abs().max() <= 1
        assert (first.roll(1, 1).int() - below.int()).abs().max() <= 1
        assert (first.int() - right.int()).abs().max() > 100


def test_no_sprite_touches_the_border():
    corners = [(x, y) for x in (0, 31) for y in (0, 31)]
    for shape in range(3):
        for x, y in corners:
            shares = coverage(factors_of(shape=shape, rotation=list(range(40)), x=x, y=y), 64)
            frame = torch.cat([shares[:, 0, [0, -1]].flatten(1), shares[:, 0, :, [0, -1]].flatten(1)], dim=1)
            # Anti-aliasing reaches half a pixel beyond the outline.
            assert frame.max() == 0


def test_each_shape_has_its_symmetry_and_no_other():
    def turned(shape: int, rotations: int) -> float:
        """The largest difference of a coverage that such a turn makes."""
        one, other = coverage(factors_of(shape=shape, rotation=[3, (3 + rotations) % 40]), 48)
        return (one - other).abs().max().item()

    assert turned(SQUARE, 10) < 1e-4
    assert turned(ELLIPSE, 20) < 1e-4
    assert min(turned(SQUARE, 5), turned(ELLIPSE, 10), turned(HEART, 20), turned(HEART, 10)) > 0.5
    # Not one of the forty hearts is another's double.
    hearts = coverage(factors_of(shape=HEART, rotation=list(range(40))), 48).flatten(1)
    assert (torch.cdist(hearts, hearts) + 10 * torch.eye(40)).min() > 1


def test_rotations_go_against_the_clock_as_an_angle_does():
    # A quarter turn of the picture about its middle is a quarter turn of the sprite, about the mirrored place.
    heart = coverage(factors_of(shape=HEART, rotation=4, x=0, y=8), 64)
    quarter = coverage(factors_of(shape=HEART, rotation=14, x=8, y=31), 64)
    torch.testing.assert_close(torch.rot90(heart, 1, (2, 3)), quarter, rtol=0, atol=1e-4)


def test_the_heart_stands_on_its_tip_and_is_the_same_in_the_mirror():
    # At 248 pixels a step is four of them, and the place 15 of 31 lies two to the left of the middle.
    heart = coverage(factors_of(shape=HEART), 248)[0, 0].roll(2, 1)
    torch.testing.assert_close(heart, heart.flip(1), rtol=0, atol=1e-4)
    rows = heart.sum(dim=1).nonzero()[:, 0]
    assert heart[rows[-1]].sum() < 3 < 30 < heart[rows[0] + 3].sum()
    # Heights above the tip, in sides of the square: its corner, where the half discs meet, and the top of these.
    side, notch, top = 0.24 * 248, math.sqrt(2), 1.5 / math.sqrt(2) + 0.5
    assert rows[-1] - rows[0] == pytest.approx(top * side, abs=2)
    assert rows[-1] - heart[:, 124].nonzero()[0, 0] == pytest.approx(notch * side, abs=2)


@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_a_picture_is_the_average_of_a_larger_one(shape):
    some = draw_factors(60, fixed={"shape": shape}, generator=torch.Generator().manual_seed(1))
    small, large = coverage(some, 32), coverage(some, 256)
    averaged = torch.nn.functional.avg_pool2d(large, 8)
    assert (small - averaged).abs().mean() < 1.5e-3  # of a grey scale of 1, over the whole picture
    assert (small - averaged).abs().max() < 0.25  # at a corner, where an edge is not straight
    assert ((small == 0) & (averaged > 0.1)).sum() == ((small == 1) & (averaged < 0.9)).sum() == 0


def test_the_distance_to_a_square_and_a_heart_is_that_to_the_nearest_point_of_the_outline(generator):
    points = 0.8 * torch.rand(300, 2, generator=generator, dtype=torch.float64) - 0.4
    steps = torch.linspace(-0.16, 0.16, 4001, dtype=torch.float64)
    edge = torch.full_like(steps, 0.16)
    outline = torch.cat(
        [torch.stack(side, 1) for side in ((steps, edge), (steps, -edge), (edge, steps), (-edge, steps))]
    )
    nearest = torch.cdist(points, outline).amin(dim=1)
    inside = points.abs().amax(dim=1) < 0.16
    expected = torch.where(inside, -nearest, nearest)
    torch.testing.assert_close(sprites.square_distance(*points.T), expected, rtol=0, atol=1e-5)

    # The heart's two lower sides, and two half circles, in the frame of its square; seen from outside.
    side = torch.linspace(0, 0.24, 4001, dtype=torch.float64)
    arc = torch.linspace(-math.pi / 2, math.pi / 2, 4001, dtype=torch.float64)
    half = torch.stack([0.24 + 0.12 * arc.cos(), 0.12 + 0.12 * arc.sin()], dim=1)
    straight = torch.stack([side, torch.zeros_like(side)], dim=1)
    outline = torch.cat([half, half.flip(1), straight, straight.flip(1)])
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
    # The centre of mass of the square and the two half discs, whose own lie 4r/3π from their straight sides.
    square, disc = 0.24**2, math.pi * 0.12**2 / 2
    middle = (square * 0.12 + disc * 0.12 + disc * (0.24 + 4 * 0.12 / (3 * math.pi))) / (square + 2 * disc)
    outline = (outline - middle) @ turn
    distance = sprites.heart_distance(*points.T)
    outside = distance > 0
    assert 100 < outside.sum() < 300
    torch.testing.assert_close(distance[outside], torch.cdist(points, outline).amin(dim=1)[outside], rtol=0, atol=1e-5)


# The grid ------------------------------------------------------------------------------------------------------------


def test_the_grid_is_that_of_dsprites_and_counts_its_last_factor_fastest():
    grid = Sprites()
    assert list(FACTORS.items()) == [("shape", 3), ("scale", 6), ("rotation", 40), ("x", 32), ("y", 32)]
    assert len(grid) == 737_280
    assert len(Sprites(colour=True)) == 737_280 * 64
    places = torch.tensor([0, 1, 32, 1024, 40 * 1024, 6 * 40 * 1024, 737_279])
    expected = [[0] * 5, [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert grid.factors(places).tolist() == [*expected, [2, 5, 39, 31, 31]]


@pytest.mark.parametrize("colour", [False, True])
def test_places_and_factors_are_each_others_inverse(colour, generator):
    grid = Sprites(colour=colour)
    places = torch.randint(len(grid), (2_000,), generator=generator)
    factors = grid.factors(places)
    assert torch.equal(grid.indices(factors), places)
    drawn = draw_factors(2_000, colour=colour, generator=generator)
    assert torch.equal(grid.factors(grid.indices(drawn)), drawn)


def test_lazy_pictures_are_those_drawn_at_once(generator):
    grid = Sprites(24)
    places = torch.randint(len(grid), (70,), generator=generator)
    lazy = grid.batch(places)
    assert torch.equal(lazy.labels, grid.factors(places))
    at_once = render(grid.factors(places), 24)
    assert at_once.dtype == torch.uint8
    assert torch.equal(lazy.images, at_once.float() / 255)
    one_by_one = torch.cat([grid.batch(place).images for place in places.split(1)])
    assert torch.equal(one_by_one, lazy.images)
    assert torch.equal(render(grid.factors(places), 24, chunk=11), at_once)


def test_batches_go_through_the_grid_in_order():
    batches = Sprites(8).batches(512)
    first, second = next(batches), next(batches)
    assert first.images.shape == (512, 1, 8, 8)
    assert torch.equal(torch.cat([first.labels, second.labels]), Sprites().factors(torch.arange(1024)))


def test_all_places_of_the_whole_grid_have_factors_of_their_own():
    grid = Sprites()
    factors = grid.factors(torch.arange(len(grid)))
    assert torch.equal(factors.amax(dim=0) + 1, torch.tensor(list(FACTORS.values())))
    assert torch.equal(grid.indices(factors), torch.arange(len(grid)))
    for column, count in enumerate(FACTORS.values()):
        assert factors[:, column].bincount().tolist() == [len(grid) // count] * count


# The splits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [False, True])
def test_splits_share_no_picture_and_repeat_none(colour):
    size = len(Sprites(colour=colour))
    places = torch.cat([sprites.split_places(split, count, size) for split, count in SPLITS.items()])
    assert len(places) == 130_000
    assert len(places.unique()) == 130_000
    assert 0 <= int(places.min()) <= int(places.max()) < size


@pytest.mark.parametrize(
    ("colour", "first", "digest"),
    [
        (False, [653013, 377468, 5748], "e2f33309a6145d5e"),
        (True, [15407754, 21751380, 47006117], "95b3a1ceddaba461"),
    ],
)
def test_the_order_is_fixed_for_ever(colour, first, digest):
    """Whoever changes it changes every split, and with them every number that was ever measured on sprites."""
    places = sprites.split_places("train", 1_000, len(Sprites(colour=colour)))
    assert places[:3].tolist() == first
    assert hashlib.sha256(places.numpy().astype("<i8").tobytes()).hexdigest()[:16] == digest


def test_the_order_sorts_by_a_hash_that_python_can_compute_too():
    def hashed(number: int) -> int:
        """The steps of splitmix64 on 64-bit integers; the last shift keeps the sign."""
        mixed = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        signed = mixed - 2**64 if mixed >> 63 else mixed
        return (signed ^ signed >> 31) % 2**62

    assert shuffled(0, 3_000, 3_000).tolist() == sorted(range(3_000), key=hashed)
    large = [hashed(number) % 20_000_000 for number in range(50)]
    assert shuffled(0, 50, 20_000_000).tolist() == list(dict.fromkeys(large))


@pytest.mark.parametrize("size", [1_000, 20_000_000])
def test_the_order_has_no_repetition_and_its_parts_fit_together(size):
    whole = shuffled(0, 1_000, size)
    assert len(whole.unique()) == 1_000
    assert torch.equal(torch.cat([shuffled(0, 300, size), shuffled(300, 700, size)]), whole)
    # As even as chance: thirds of the order have means within four standard errors of the middle.
    for part in whole.double().split(334):
        assert abs(part.mean() / size - 0.5) < 4 / math.sqrt(12 * len(part))


def test_a_split_has_the_marginals_of_the_grid():
    factors = Sprites().factors(sprites.split_places("train", 100_000, len(Sprites())))
    for column, count in enumerate(FACTORS.values()):
        observed, expected = factors[:, column].bincount(minlength=count), 100_000 / count
        # χ² with count − 1 degrees of freedom: mean count − 1, variance 2 (count − 1).
        chi_square = ((observed - expected) ** 2 / expected).sum().item()
        assert chi_square < count - 1 + 4 * math.sqrt(2 * (count - 1))


@pytest.mark.parametrize("colour", [False, True])
def test_load_gives_the_pictures_with_their_factors(colour):
    name = "colour_sprites" if colour else "sprites"
    part = load(name, "validation", count=20, size=32)
    grid = Sprites(32, colour=colour)
    assert part.images.shape == (20, 3 if colour else 1, 32, 32)
    assert torch.equal(part.labels, grid.factors(sprites.split_places("validation", 20, len(grid))))
    assert torch.equal(part.images, render(part.labels, 32))
    assert part.label_names == tuple(grid.sizes)
    assert part.name == name
    assert part.key == f"{name} validation 32×32 first 20"
    again = load(name, "validation", count=5, size=32)
    assert torch.equal(again.images, part.images[:5])
    assert load(name, count=2).images.shape[2:] == (64, 64)


def test_ones_own_choice_of_factors_becomes_a_data_set():
    chosen = draw_factors(6, fixed={"shape": HEART}, generator=torch.Generator().manual_seed(2))
    own = sprites.image_set(chosen, 16, split="test", key="six hearts")
    assert torch.equal(own.labels, chosen)
    assert torch.equal(own.images, render(chosen, 16))
    assert (own.name, own.split, own.key, own.label_names) == ("sprites", "test", "six hearts", tuple(FACTORS))
    chosen[0] = 0
    assert own.labels[0, 0] == HEART  # a copy of its own
    coloured = sprites.image_set(draw_factors(2, colour=True), 16, key="two")
    assert coloured.label_names == tuple(COLOUR_FACTORS)


# Colour --------------------------------------------------------------------------------------------------------------


def test_hues_are_those_of_the_standard_library():
    import colorsys

    hues = torch.linspace(0, 0.99, 37)
    expected = torch.tensor([colorsys.hsv_to_rgb(hue, 0.7, 0.9) for hue in hues.tolist()])
    torch.testing.assert_close(sprites.hue_to_rgb(hues, saturation=0.7, brightness=0.9), expected, atol=1e-5, rtol=0)


def test_a_coloured_picture_mixes_two_colours_by_the_coverage():
    plain = draw_factors(20, generator=torch.Generator().manual_seed(3))
    hues = torch.stack([torch.arange(20) % 8, (torch.arange(20) * 3) % 8], dim=1)
    pictures = render(torch.cat([plain, hues], dim=1), 32).float() / 255
    share = render(plain, 32).float() / 255
    for picture, covered, (hue, background) in zip(pictures, share, hues.tolist(), strict=True):
        front = sprites.hue_to_rgb(torch.tensor([hue / 8]), saturation=0.9, brightness=1.0).view(3, 1, 1)
        back = sprites.hue_to_rgb(torch.tensor([background / 8]), saturation=0.5, brightness=0.45).view(3, 1, 1)
        torch.testing.assert_close(picture, covered * front + (1 - covered) * back, rtol=0, atol=1.5 / 255)
        assert picture[0, 0, 0] == pytest.approx(back[0].item(), abs=1 / 255)


# Draws for exercises -------------------------------------------------------------------------------------------------


def test_plain_draws_are_uniform_and_independent(generator):
    factors = draw_factors(40_000, generator=generator)
    assert factors.shape == (40_000, 5)
    for column, count in enumerate(FACTORS.values()):
        observed, expected = factors[:, column].bincount(minlength=count), 40_000 / count
        chi_square = ((observed - expected) ** 2 / expected).sum().item()
        assert chi_square < count - 1 + 5 * math.sqrt(2 * (count - 1))
    off_diagonal = torch.corrcoef(factors.T.double()) - torch.eye(5)
    assert off_diagonal.abs().max() < 5 / math.sqrt(40_000)


@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_correlated_draws_have_the_stated_distribution(spread, generator):
    count = 60_000
    factors = draw_factors(count, correlated=("scale", "x"), spread=spread, generator=generator)
    # Träuble et al. 2021: p(u, v) ∝ exp(−(u − v)² / 2s²) on the grid, by a loop.
    table = torch.tensor(
        [[math.exp(-((u / 5 - v / 31) ** 2) / (2 * spread**2)) for v in range(32)] for u in range(6)]
    ).double()
    table /= table.sum()
    observed = (factors[:, 1] * 32 + factors[:, 3]).bincount(minlength=192).view(6, 32)
    likely = table * count > 5  # where a count is about normal
    chi_square = ((observed - table * count) ** 2 / (table * count))[likely].sum().item()
    assert abs(chi_square - likely.sum()) < 5 * math.sqrt(2 * likely.sum())
    assert observed[~likely].sum() <= 2 * (table[~likely].sum() * count) + 20
    # The others stay uniform, and independent of these two.
    rest = torch.corrcoef(factors.T.double())[[0, 2, 4]] - torch.eye(5)[[0, 2, 4]]
    assert rest.abs().max() < 5 / math.sqrt(count)


def test_a_narrow_spread_leaves_hardly_a_choice_and_a_wide_one_no_correlation(generator):
    narrow = draw_factors(500, correlated=("x", "y"), spread=0.005, generator=generator)
    assert torch.equal(narrow[:, 3], narrow[:, 4])
    wide = draw_factors(20_000, correlated=("x", "y"), spread=100.0, generator=generator)
    assert torch.corrcoef(wide[:, 3:].T.double())[0, 1].abs() < 5 / math.sqrt(20_000)


def test_fixed_factors_are_fixed_and_the_others_are_not(generator):
    factors = draw_factors(300, fixed={"shape": 2, "y": 0}, generator=generator)
    assert (factors[:, 0] == 2).all()
    assert (factors[:, 4] == 0).all()
    assert all(len(factors[:, column].unique()) > 1 for column in (1, 2, 3))


def test_missing_combinations_never_occur_and_the_rest_is_as_before(generator):
    def hearts_on_the_left(factors: torch.Tensor) -> torch.Tensor:
        return (factors[:, 0] == HEART) & (factors[:, 3] < 16)

    factors = draw_factors(30_000, missing=hearts_on_the_left, generator=generator)
    assert len(factors) == 30_000
    assert not hearts_on_the_left(factors).any()
    # Five sixths are left, evenly: a third of a half of it is hearts on the right.
    share = (factors[:, 0] == HEART).double().mean().item()
    assert share == pytest.approx(1 / 5, abs=5 * math.sqrt(0.16 / 30_000))


def test_draws_repeat_with_a_generator_and_leave_the_global_one_alone():
    before = torch.get_rng_state()
    one, again = (draw_factors(50, correlated=("x", "y"), generator=torch.Generator().manual_seed(7)) for _ in "ab")
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one, draw_factors(50, correlated=("x", "y"), generator=torch.Generator().manual_seed(8)))


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"shap": 1}}, r"there is no factor 'shap'; there are shape, .* Did you mean 'shape'"),
        ({"fixed": {"shape": 3}}, "shape takes values from 0 to 2; there are some from 3 to 3"),
        ({"fixed": {"hue": 3}}, "there is no factor 'hue'"),
        ({"correlated": ("x", "z")}, "there is no factor 'z'"),
        ({"correlated": ("x", "x")}, r"two different factors that are not fixed, not \('x', 'x'\)"),
        ({"correlated": ("x", "y"), "fixed": {"y": 1}}, "two different factors that are not fixed"),
        ({"count": 0}, "count should be at least 1 and spread above 0, not 0"),
        ({"spread": 0.0}, "spread above 0, not 5 and 0.0"),
        ({"missing": lambda factors: torch.ones(len(factors), dtype=torch.bool)}, "nothing to draw from"),
    ],
)
def test_draws_that_cannot_be_made_say_why(options, message):
    with pytest.raises(ValueError, match=message):
        draw_factors(**({"count": 5} | options))


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.zeros(3, 4, dtype=torch.long), r"whole numbers \(N, 5\) .* not torch.int64 \(3, 4\)"),
        (torch.zeros(5, dtype=torch.long), r"not torch.int64 \(5,\)"),
        (torch.zeros(3, 5), r"whole numbers .* not torch.float32"),
        (torch.full((3, 5), float("nan")), r"whole numbers .* not torch.float32"),
        (torch.tensor([[0, 6, 0, 0, 0]]), "scale takes values from 0 to 5; there are some from 6 to 6"),
        (torch.tensor([[0, 0, -1, 0, 0]]), "rotation takes values from 0 to 39; there are some from -1"),
        (torch.tensor([[0, 0, 0, 0, 0, 0, 8]]), "background takes values from 0 to 7"),
    ],
)
def test_factors_that_do_not_exist_are_refused(factors, message):
    for request in (render, Sprites().indices, lambda factors: sprites.image_set(factors, key="some")):
        with pytest.raises(ValueError, match=message):
            request(factors)


def test_places_and_sizes_that_do_not_exist_are_refused():
    with pytest.raises(IndexError, match="from 0 to 737279"):
        Sprites().factors(torch.tensor([737_280]))
    with pytest.raises(IndexError, match="from 0 to 737279"):
        Sprites().factors(torch.tensor([-1]))
    with pytest.raises(ValueError, match=r"this grid has 7 factors \(shape, .* not 5"):
        Sprites(colour=True).indices(torch.zeros(1, 5, dtype=torch.long))
    for request in (lambda: Sprites(7), lambda: load("sprites", size=7, count=1), lambda: render(factors_of(), 0)):
        with pytest.raises(ValueError, match="at least 8 pixels wide"):
            request()
    with pytest.raises(ValueError, match="sprites has 20,000 test images; a count of 20,001 cannot be had"):
        load("sprites", "test", count=20_001)


def test_nothing_to_draw_is_an_empty_set_of_the_right_shape():
    assert render(torch.zeros(0, 5, dtype=torch.long), 16).shape == (0, 1, 16, 16)
    assert Sprites(16, colour=True).batch(torch.zeros(0, dtype=torch.long)).images.shape == (0, 3, 16, 16)
