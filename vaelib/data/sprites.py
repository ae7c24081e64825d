"""`sprites`: one white shape on black, of known shape, scale, rotation and place: the grid of dSprites, drawn by us.

Every picture follows from five whole numbers, its factors. That is what makes the set useful: whoever claims that a
model has found "the factors of variation" can be checked against the truth. A pixel's grey is the share of it that the
shape covers, found from the distance to the outline, so that pictures of any size are free of steps.

    from vaelib.data import sprites
    factors = sprites.draw_factors(100, fixed={"shape": 2})
    images = sprites.render(factors, size=64)
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.config import near_miss
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import Batch, ImageSet
from vaelib.data.pictures import checked_count

SHAPES = ("square", "ellipse", "heart")
FACTORS = {"shape": 3, "scale": 6, "rotation": 40, "x": 32, "y": 32}
"""The factors and how many values each takes; 737,280 pictures in all."""
COLOUR_FACTORS = FACTORS | {"hue": 8, "background": 8}
"""With the hue of the sprite and of what lies behind it: 47 million pictures."""

# Lengths are fractions of the picture's side. Nothing reaches further than 0.25 from its centre, and centres lie
# between 0.25 and 0.75, so no sprite is ever cut off. The three shapes cover about the same area.
SQUARE_SIDE = 0.32
ELLIPSE_AXES = (0.23, 0.14)  # semi-axes
HEART_SIDE = 0.24  # of the square between its two half discs
SIZE = 64
SPLITS = {"train": 100_000, "validation": 10_000, "test": 20_000}


def _card(name: str, title: str, what: str, channels: int, factors: Mapping[str, int]) -> DataCard:
    return DataCard(
        name=name,
        title=title,
        what=what,
        shape=(channels, SIZE, SIZE),
        splits=SPLITS,
        division=(
            "Drawn without repetition from the whole grid in a fixed random order; no combination of factors lies in "
            "two splits. `vaelib.data.Sprites` gives the whole grid, a batch at a time."
        ),
        source="Rendered by vaelib; the grid of factors is that of dSprites (Matthey et al. 2017).",
        fetched="Nothing is fetched: any size, about 50,000 pictures a second at 32×32.",
        licence="MIT, like vaelib. dSprites itself (Apache 2.0) is the set `dsprites`, when its file is there.",
        consent="Nobody is in it.",
        bias=(
            "One object, sharp outlines, independent factors on a full grid: far easier than any photograph. Squares "
            "look the same after a quarter turn and ellipses after half a turn, so their rotation cannot be found "
            "from the picture. Our 40 rotations are all different; the first and last of dSprites are the same."
        ),
        credit="Matthey, Higgins, Hassabis and Lerchner, dSprites, 2017.",
        label="the class of each factor: " + ", ".join(f"{factor} ({count})" for factor, count in factors.items()),
    )


CARD = _card("sprites", "Sprites with known factors", "A square, an ellipse or a heart, white on black.", 1, FACTORS)
COLOUR_CARD = _card(
    "colour_sprites",
    "Coloured sprites with known factors",
    "A square, an ellipse or a heart in one of 8 hues on a dull background of one of 8 hues.",
    3,
    COLOUR_FACTORS,
)


def load(split: str = "train", *, count: int | None = None, size: int | None = None, colour: bool = False) -> ImageSet:
    """The sprites of a split, in memory, with their factors (N, K) as labels.

    Args:
        split: "train" (100,000), "validation" (10,000) or "test" (20,000).
        count: the first so many.
        size: of the square pictures, 64 by default.
        colour: with hues: three channels, and two factors more.
    Raises:
        ValueError: a size below 8, or a count beyond the split.
    """
    size = SIZE if size is None else size
    count = SPLITS[split] if count is None else checked_count("sprites", split, count, SPLITS[split])
    grid = Sprites(size, colour=colour)
    name = "colour_sprites" if colour else "sprites"
    chosen = grid.factors(split_places(split, count, len(grid)))
    return image_set(chosen, size, name=name, split=split, key=f"{name} {split} {size}×{size} first {count}")


def image_set(factors: Tensor, size: int = SIZE, *, name: str = "sprites", split: str = "train", key: str) -> ImageSet:
    """The pictures of these factors as a data set: of your own choice, or of `draw_factors`.

    Args:
        factors: (N, 5) or, with hues, (N, 7).
        key: what exactly these are, for the protocol of a measurement.
    """
    known = FACTORS if factors.shape[-1] == len(FACTORS) else COLOUR_FACTORS
    return ImageSet(render(factors, size), name, split, key, factors.clone(), tuple(known))


@dataclass(frozen=True)
class Sprites:
    """The whole grid, rendered when asked for: 737,280 pictures (47 million with hues) that take no memory.

    Attributes:
        size: of the square pictures.
        colour: with hues.
    """

    size: int = SIZE
    colour: bool = False

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"sprites should be at least 8 pixels wide, or nothing can be told apart, not {self.size}")

    @property
    def sizes(self) -> dict[str, int]:
        """The factors by name, and how many values each takes."""
        return COLOUR_FACTORS if self.colour else FACTORS

    def __len__(self) -> int:
        return math.prod(self.sizes.values())

    def factors(self, indices: Tensor) -> Tensor:
        """Places in the grid (N,), counted with the last factor fastest → factors (N, K).

        Raises:
            IndexError: a place that the grid does not have.
        """
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < len(self)):
            raise IndexError(f"places in this grid are from 0 to {len(self) - 1}")
        columns = []
        for count in reversed(self.sizes.values()):
            columns.append(indices % count)
            indices = indices // count
        return torch.stack(columns[::-1], dim=1)

    def indices(self, factors: Tensor) -> Tensor:
        """Factors (N, K) → their places in the grid (N,).

        Raises:
            ValueError: factors that do not exist, or those of the other grid.
        """
        check_factors(factors)
        if factors.shape[1] != len(self.sizes):
            raise ValueError(
                f"this grid has {len(self.sizes)} factors ({', '.join(self.sizes)}), not {factors.shape[1]}"
            )
        place = torch.zeros(len(factors), dtype=torch.long)
        for column, count in enumerate(self.sizes.values()):
            place = place * count + factors[:, column]
        return place

    def batch(self, indices: Tensor) -> Batch:
        """The pictures at these places, float32 in [0, 1], with their factors."""
        factors = self.factors(indices)
        return Batch(render(factors, self.size).float().div_(255), factors)

    def batches(self, batch_size: int = 256) -> Iterator[Batch]:
        """All pictures in the order of the grid."""
        for start in range(0, len(self), batch_size):
            yield self.batch(torch.arange(start, min(start + batch_size, len(self))))


def draw_factors(
    count: int,
    *,
    colour: bool = False,
    fixed: Mapping[str, int] | None = None,
    correlated: tuple[str, str] | None = None,
    spread: float = 0.2,
    missing: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Factors at random: uniform and independent, unless an exercise wants them otherwise.

        draw_factors(1_000, correlated=("scale", "x"))                     # large ones on the right
        draw_factors(1_000, missing=lambda f: (f[:, 0] == 2) & (f[:, 3] < 16))   # no hearts on the left

    Args:
        count: how many.
        colour: with the two hues.
        fixed: factors that are the same in all, by name.
        correlated: two factors u and v, each on [0, 1], with p(u, v) ∝ exp(−(u − v)² / (2 spread²)). Source: Träuble et
            al. 2021, section 3.
        missing: (N, K) → bool (N,), the combinations that never occur.
        generator: for reproducible draws.
    Returns:
        (count, K) int64.
    Raises:
        ValueError: a factor or value that does not exist, or nothing left to draw from.
    """
    sizes = COLOUR_FACTORS if colour else FACTORS
    names = list(sizes)
    for name in (*(fixed or {}), *(correlated or ())):
        if name not in sizes:
            raise ValueError(f"there is no factor {name!r}; there are {', '.join(names)}.{near_miss(name, names)}")
    if count < 1 or spread <= 0:
        raise ValueError(f"count should be at least 1 and spread above 0, not {count} and {spread}")
    if correlated is not None and (correlated[0] == correlated[1] or set(correlated) & set(fixed or {})):
        raise ValueError(f"correlated takes two different factors that are not fixed, not {correlated}")
    drawn: list[Tensor] = []
    for _ in range(1000):
        some = torch.stack([torch.randint(size, (count,), generator=generator) for size in sizes.values()], dim=1)
        if correlated is not None:
            first, second = (torch.linspace(0, 1, sizes[name]) for name in correlated)
            weights = torch.exp(-((first[:, None] - second) ** 2) / (2 * spread**2)).flatten()
            both = torch.multinomial(weights, count, replacement=True, generator=generator)
            some[:, names.index(correlated[0])] = both // len(second)
            some[:, names.index(correlated[1])] = both % len(second)
        for name, value in (fixed or {}).items():
            some[:, names.index(name)] = value
        check_factors(some)
        drawn.append(some if missing is None else some[~missing(some)])
        if sum(map(len, drawn)) >= count:
            return torch.cat(drawn)[:count]
    raise ValueError("`missing` leaves out (nearly) every combination, so there is nothing to draw from")


def check_factors(factors: Tensor) -> None:
    """Raise a ValueError unless these are classes (N, 5) or (N, 7) of the factors."""
    if factors.dim() != 2 or factors.shape[1] not in (len(FACTORS), len(COLOUR_FACTORS)) or factors.is_floating_point():
        raise ValueError(
            f"factors should be whole numbers (N, {len(FACTORS)}) ({', '.join(FACTORS)}) or (N, {len(COLOUR_FACTORS)}) "
            f"(with hue, background), not {factors.dtype} {tuple(factors.shape)}"
        )
    known = FACTORS if factors.shape[1] == len(FACTORS) else COLOUR_FACTORS
    for (name, count), column in zip(known.items(), factors.T, strict=True):
        if len(column) and not (int(column.min()) >= 0 and int(column.max()) < count):
            raise ValueError(
                f"{name} takes values from 0 to {count - 1}; there are some from {column.min()} to {column.max()}"
            )


def render(factors: Tensor, size: int = SIZE, *, chunk: int = 1024) -> Tensor:
    """Draw sprites.

    Args:
        factors: (N, 5) classes of shape, scale, rotation, x, y; with (N, 7) also hue and background.
        size: of the square pictures, 8 or more.
        chunk: pictures at a time, to bound memory.
    Returns:
        (N, 1, size, size), or (N, 3, size, size) with hues, uint8.
    Raises:
        ValueError: factors that do not exist, or a size below 8.
    """
    check_factors(factors)
    Sprites(size)  # which checks the size
    images = torch.empty(len(factors), 1 if factors.shape[1] == len(FACTORS) else 3, size, size, dtype=torch.uint8)
    for start in range(0, len(factors), chunk):
        some = factors[start : start + chunk]
        share = coverage(some, size)
        if some.shape[1] > len(FACTORS):
            front = hue_to_rgb(some[:, 5] / COLOUR_FACTORS["hue"], saturation=0.9, brightness=1.0)
            back = hue_to_rgb(some[:, 6] / COLOUR_FACTORS["background"], saturation=0.5, brightness=0.45)
            share = share * front[:, :, None, None] + (1 - share) * back[:, :, None, None]
        images[start : start + chunk] = (255 * share).round().to(torch.uint8)
    return images


def coverage(factors: Tensor, size: int) -> Tensor:
    """The share of each pixel that the sprite covers, (N, 1, size, size) in [0, 1]."""
    shape, scale, rotation, x, y = factors[:, :5].T
    scales = 0.5 + 0.5 * scale / (FACTORS["scale"] - 1)
    angles = 2 * math.pi * rotation / FACTORS["rotation"]
    centres = [0.25 + 0.5 * place / (count - 1) for place, count in ((x, FACTORS["x"]), (y, FACTORS["y"]))]
    # The middle of each pixel, seen from the sprite's centre, turned back and scaled back: y points up in its frame.
    middles = (torch.arange(size) + 0.5) / size
    across = (middles[None, None, :] - centres[0][:, None, None]) / scales[:, None, None]
    up = (centres[1][:, None, None] - middles[None, :, None]) / scales[:, None, None]
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    across, up = cosine * across + sine * up, cosine * up - sine * across
    distance = torch.empty(len(factors), size, size)
    for kind, signed_distance in enumerate((square_distance, ellipse_distance, heart_distance)):
        of_kind = shape == kind
        distance[of_kind] = signed_distance(across[of_kind], up[of_kind])
    # A straight edge at distance d (in pixels) from a pixel's middle covers about ½ − d of it.
    return (0.5 - distance * scales[:, None, None] * size).clamp(0, 1).unsqueeze(1)


def square_distance(x: Tensor, y: Tensor, side: float = SQUARE_SIDE) -> Tensor:
    """The distance of points to the outline of a square around the origin, negative inside."""
    beyond_x, beyond_y = x.abs() - side / 2, y.abs() - side / 2
    outside = torch.hypot(beyond_x.clamp(min=0), beyond_y.clamp(min=0))
    return outside + torch.maximum(beyond_x, beyond_y).clamp(max=0)


def ellipse_distance(x: Tensor, y: Tensor) -> Tensor:
    """The distance to the outline of an ellipse, to first order: exact on the outline, where alone it matters."""
    a, b = ELLIPSE_AXES
    level = torch.hypot(x / a, y / b)  # 1 on the outline
    slope = torch.hypot(x / a**2, y / b**2) / level.clamp(min=1e-6)
    return torch.where(level < 1e-3, torch.full_like(level, -b), (level - 1) / slope.clamp(min=1e-6))


def heart_distance(x: Tensor, y: Tensor) -> Tensor:
    """The distance to the outline of a heart: a square on its tip with half discs on its two upper sides."""
    side, radius = HEART_SIDE, HEART_SIDE / 2
    # The square is [0, side]² in its own frame, its tip at the origin; the centre of mass is at (middle, middle).
    half_disc = math.pi * radius**2 / 2
    bulge = side + 4 * radius / (3 * math.pi)
    middle = (side**2 * radius + half_disc * radius + half_disc * bulge) / (side**2 + 2 * half_disc)
    along = (x + y) / math.sqrt(2) + middle
    other = (y - x) / math.sqrt(2) + middle
    square = square_distance(along - radius, other - radius, side)
    discs = torch.minimum(torch.hypot(along - side, other - radius), torch.hypot(along - radius, other - side)) - radius
    return torch.minimum(square, discs)


def hue_to_rgb(hue: Tensor, *, saturation: float, brightness: float) -> Tensor:
    """Hues on [0, 1), 0 for red, → (N, 3) in [0, 1]."""
    turns = (hue[:, None] * 6 + torch.tensor([5.0, 3.0, 1.0])) % 6
    return brightness * (1 - saturation * torch.minimum(turns, 4 - turns).clamp(0, 1))


def split_places(split: str, count: int, size: int) -> Tensor:
    """Where in a grid of this size the first `count` pictures of a split lie, (count,)."""
    start = {"test": 0, "validation": SPLITS["test"], "train": SPLITS["test"] + SPLITS["validation"]}[split]
    return shuffled(start, count, size)


def shuffled(start: int, count: int, size: int) -> Tensor:
    """Places `start` to `start + count` of a fixed random order of 0 … size − 1.

    Grids of up to some millions are sorted by a hash of the place, which is the same everywhere and for ever; a
    generator's permutation need not be. Larger grids are too long to sort: there, the hash itself is the place.
    """
    if size > 10_000_000:
        # With repetitions among the hashes left out, the order is still one without repetition.
        hashes = _hash(torch.arange(2 * (start + count))) % size
        unique, inverse = torch.unique(hashes, return_inverse=True)
        first = torch.full((len(unique),), len(hashes)).scatter_reduce(0, inverse, torch.arange(len(hashes)), "amin")
        return hashes[first.sort().values][start : start + count]
    return _hash(torch.arange(size)).argsort(stable=True)[start : start + count]


def _hash(numbers: Tensor) -> Tensor:
    """Non-negative 62-bit hashes of int64 numbers, by the mixing steps of splitmix64 (Steele et al. 2014)."""
    mixed = (numbers + 1) * -7046029254386353131
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return (mixed ^ (mixed >> 31)) & ((1 << 62) - 1)
