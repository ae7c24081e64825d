"""What reaches the axes of each figure: pixels, labels, curves; and that every figure becomes a PNG."""

import io
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from vaelib.visual import (
    image_grid,
    image_rows,
    interpolation_strip,
    latent_activity,
    latent_map,
    power_spectra,
    report,
    style,
    training_curves,
    traversal_grid,
)
from vaelib.visual.style import ACCENT, INK, MUTED

GAP = 2


@pytest.fixture
def pictures(generator) -> torch.Tensor:
    return torch.rand(10, 3, 16, 16, generator=generator)


def canvas(figure) -> np.ndarray:
    """The one image of a mosaic."""
    (axes,) = figure.axes
    (image,) = axes.images
    return np.asarray(image.get_array())


def tile(array: np.ndarray, row: int, column: int, side: int = 16, below: int = 0) -> np.ndarray:
    top, left = row * (side + GAP + below), column * (side + GAP)
    return array[top : top + side, left : left + side]


def as_bytes(picture: torch.Tensor) -> np.ndarray:
    return np.round(picture.expand(3, -1, -1).numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


def rendered(figure) -> Image.Image:
    return Image.open(io.BytesIO(figure._repr_png_()))


def tick_texts(ticks) -> list[str]:
    return [tick.get_text() for tick in ticks]


def test_a_grid_shows_every_picture_in_reading_order(pictures):
    array = canvas(image_grid(pictures, columns=4))
    assert array.shape == (3 * 18 - GAP, 4 * 18 - GAP, 3)
    for i, picture in enumerate(pictures):
        np.testing.assert_array_equal(tile(array, i // 4, i % 4), as_bytes(picture))
    assert (array[2 * 18 :, 2 * 18 :] == 255).all(), "the last row is short and ends in white"
    assert (array[:, 16:18] == 255).all(), "pictures are apart"


def test_pixels_are_drawn_as_equal_squares(pictures):
    """In the PNG, every pixel of a picture is a square of one colour, the same whole number of pixels wide."""
    figure = image_grid(pictures[:4], columns=4)
    png = np.asarray(rendered(figure).convert("RGB"))
    box = figure.axes[0].get_window_extent()
    left, top = round(box.x0), png.shape[0] - round(box.y1)
    array = canvas(figure)
    factor = round(box.width / array.shape[1])
    assert factor > 1
    enlarged = array.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(png[top : top + enlarged.shape[0], left : left + enlarged.shape[1]], enlarged)


def test_grey_pictures_stay_grey(generator):
    grey = torch.rand(3, 1, 8, 8, generator=generator)
    np.testing.assert_array_equal(tile(canvas(image_grid(grey)), 0, 1, side=8), as_bytes(grey[1]))


@pytest.mark.parametrize("labels", [["a", "b", "c"], torch.tensor([7, 8, 9]), [0.5, 1.5, 2.5]])
def test_each_picture_has_its_label_below_it(pictures, labels):
    figure = image_grid(pictures[:3], labels=labels, columns=2, title="Three")
    texts = figure.axes[0].texts
    expected = [str(label) for label in (labels.tolist() if isinstance(labels, torch.Tensor) else labels)]
    assert [text.get_text() for text in texts] == expected
    x, y = np.array([text.get_position() for text in texts]).T
    assert x[0] == x[2] < x[1]
    assert y[0] == y[1] < y[2]
    assert [text.get_text() for text in figure.texts] == ["Three"]
    assert rendered(figure).size[0] > 400


def test_labels_that_are_too_long_shrink_until_they_fit(pictures):
    figure = image_grid(pictures[:8], labels=["a rather long label"] * 8)
    rendered(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(first.x1 <= second.x0 for first, second in pairwise(boxes))


def test_text_of_a_mosaic_stays_inside_the_figure(pictures):
    rows = {"reconstructions of the test set": pictures[:2], "$z_{17}$": pictures[2:3]}
    figure = image_rows(rows, title="A title that is a good deal wider than the two pictures below it")
    rendered(figure)
    width, height = figure.bbox.size
    texts = [*figure.texts, *figure.axes[0].get_yticklabels()]
    for box in (text.get_window_extent() for text in texts):
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_rows_carry_their_names_and_may_differ_in_length_and_colour(pictures, generator):
    grey = torch.rand(2, 1, 16, 16, generator=generator)
    figure = image_rows({"originals": pictures[:4], "samples": grey})
    array = canvas(figure)
    np.testing.assert_array_equal(tile(array, 0, 3), as_bytes(pictures[3]))
    np.testing.assert_array_equal(tile(array, 1, 1), as_bytes(grey[1]))
    assert (tile(array, 1, 2) == 255).all()
    assert tick_texts(figure.axes[0].get_yticklabels()) == ["originals", "samples"]
    assert figure.axes[0].get_yticks().tolist() == [7.5, 25.5], "each name is level with the middle of its row"


def test_a_traversal_names_latents_and_values(pictures):
    figure = traversal_grid(pictures[:6].unflatten(0, (2, 3)), torch.tensor([-2.0, 0.0, 2.0]), [3, "smile"])
    axes = figure.axes[0]
    assert tick_texts(axes.get_xticklabels()) == ["−2", "0", "+2"]
    assert tick_texts(axes.get_yticklabels()) == ["$z_{3}$", "smile"]
    np.testing.assert_array_equal(tile(canvas(figure), 1, 2), as_bytes(pictures[5]))


def test_an_interpolation_runs_from_start_to_end(pictures):
    figure = interpolation_strip(pictures.unflatten(0, (2, 5)))
    assert tick_texts(figure.axes[0].get_xticklabels()) == ["start", "", "", "", "end"]
    np.testing.assert_array_equal(tile(canvas(figure), 1, 4), as_bytes(pictures[9]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(4, 3, 8, 8) * 255, "lie in \\[0, 1\\]"),
        (torch.rand(4, 3, 8, 8) - 1, "lie in \\[0, 1\\]"),
        (torch.full((4, 3, 8, 8), torch.nan), "lie in \\[0, 1\\]"),
        (torch.rand(3, 8, 8), "one or three channels"),
        (torch.rand(4, 2, 8, 8), "one or three channels"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "divide bytes by 255"),
        (torch.rand(0, 3, 8, 8), "no images to show"),
    ],
)
def test_what_is_no_picture_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        image_grid(images)
    with pytest.raises(ValueError, match=message):
        image_rows({"row": images})


def test_counts_that_do_not_agree_are_refused(pictures):
    with pytest.raises(ValueError, match="10 images but 2 labels"):
        image_grid(pictures, labels=["a", "b"])
    with pytest.raises(ValueError, match="columns should be at least 1"):
        image_grid(pictures, columns=0)
    with pytest.raises(ValueError, match="one size"):
        image_rows({"a": pictures, "b": pictures[..., :8, :8]})
    with pytest.raises(ValueError, match="2 rows of 5 images, but 2 row labels and 4 values"):
        traversal_grid(pictures.unflatten(0, (2, 5)), [1, 2, 3, 4])
    with pytest.raises(ValueError, match="\\(pairs, steps, C, H, W\\)"):
        interpolation_strip(pictures)
    with pytest.raises(ValueError, match="2 rows but 1 row labels"):
        interpolation_strip(pictures.unflatten(0, (2, 5)), row_labels=["a"])


@dataclass
class Columns:
    """A history by hand."""

    rows: dict[str, tuple[list[int], list[float]]]

    def names(self) -> list[str]:
        return list(self.rows)

    def column(self, name: str) -> tuple[list[int], list[float]]:
        return self.rows[name]


HISTORY = Columns(
    {
        "step": ([10, 100], [10.0, 100.0]),
        "train/distortion": ([1, 20, 100], [9000.0, 30.0, 20.0]),
        "train/rate": ([1, 20, 100], [0.0, 5.0, 6.0]),
        "validation/distortion": ([50, 100], [28.0, 25.0]),
        "validation/ema/distortion": ([50, 100], [27.0, 24.0]),
    }
)


def test_curves_show_training_and_validation_of_each_term():
    figure = training_curves(HISTORY)
    distortion, rate = figure.axes
    assert "distortion" in distortion.get_ylabel()
    assert "nats per image" in rate.get_ylabel()
    assert rate.get_xlabel() == "step"
    assert [line.get_label() for line in distortion.lines] == ["training", "validation", "validation, averaged weights"]
    np.testing.assert_array_equal(distortion.lines[1].get_xydata(), [[50, 28], [100, 25]])
    np.testing.assert_array_equal(rate.lines[0].get_xydata(), [[1, 0], [20, 5], [100, 6]])
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 3
    assert distortion.get_ylim()[1] < 100, "the first step does not flatten the rest"
    assert distortion.get_ylim()[0] < 20


def test_curves_of_chosen_terms_and_of_none():
    assert len(training_curves(HISTORY, ["rate"]).axes) == 1
    with pytest.raises(ValueError, match="Did you mean 'rate'"):
        training_curves(HISTORY, ["rates"])
    with pytest.raises(ValueError, match="no train/… or validation/… metrics yet; it has: step"):
        training_curves(Columns({"step": ([1], [1.0])}))


def test_curves_take_the_history_of_a_real_run():
    from vaelib.training.history import History

    history = History([{"step": 10, "train/rate": 1.0}, {"step": 20, "train/rate": 2.0, "validation/rate": 3.0}])
    (axes,) = training_curves(history).axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[10, 1], [20, 2]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[20, 3]])


def test_a_map_draws_each_class_at_its_codes_and_names_it(generator):
    labels = torch.arange(60) % 12
    codes = torch.randn(60, 2, generator=generator) + labels[:, None]
    (axes,) = latent_map(codes, labels, label_names=["zero", "one"]).axes
    assert len(axes.collections) == 12
    np.testing.assert_allclose(axes.collections[3].get_offsets(), codes[labels == 3].numpy(), rtol=1e-6)
    assert [text.get_text() for text in axes.texts] == ["zero", "one", *map(str, range(2, 12))]
    np.testing.assert_allclose(axes.texts[3].get_position(), np.median(codes[labels == 3].numpy(), axis=0), rtol=1e-5)
    looks = {(tuple(some.get_facecolor()[0]), some.get_paths()[0].vertices.tobytes()) for some in axes.collections}
    assert len(looks) == 12, "no two classes look the same"


def test_a_map_shows_values_on_a_scale_and_bare_codes_in_one_colour(generator):
    codes = torch.randn(30, 2, generator=generator)
    figure = latent_map(codes, codes[:, 0])
    assert len(figure.axes) == 2
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array(), codes[:, 0].numpy())
    assert len(latent_map(codes).axes[0].collections) == 1
    with pytest.raises(ValueError, match="choose two columns"):
        latent_map(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="30 codes take labels"):
        latent_map(codes, torch.zeros(29))


def test_spectra_are_on_logarithmic_axes_with_the_data_in_black():
    frequencies = torch.linspace(0.02, 0.5, 20)
    figure = power_spectra({"data": (frequencies, frequencies**-2), "VAE": (frequencies, frequencies**-3)})
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "cycles per pixel" in axes.get_xlabel()
    assert [line.get_label() for line in axes.lines] == ["data", "VAE"]
    assert axes.lines[0].get_color() == INK != axes.lines[1].get_color()
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
    np.testing.assert_allclose(axes.lines[1].get_ydata(), (frequencies**-3).numpy())
    with pytest.raises(ValueError, match="VAE: \\(20,\\) frequencies but \\(3,\\) powers"):
        power_spectra({"VAE": (frequencies, torch.ones(3))})
    with pytest.raises(ValueError, match="no spectra"):
        power_spectra({})


@dataclass
class Activity:
    """Two busy latents of four."""

    variances: torch.Tensor
    rates: torch.Tensor | None
    threshold: float = 0.01


def test_activity_sorts_latents_and_greys_the_idle():
    variances = torch.tensor([0.001, 0.9, 0.002, 0.5])
    figure = latent_activity(Activity(variances, variances * 4))
    above, below = figure.axes
    heights = [bar.get_height() for bar in above.patches]
    np.testing.assert_allclose(heights, [0.9, 0.5, 0.002, 0.001], rtol=1e-6)
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], np.array(heights) * 4, rtol=1e-6)
    colours = [mpl.colors.to_hex(bar.get_facecolor()).upper() for bar in above.patches]
    assert colours == [ACCENT, ACCENT, MUTED, MUTED]
    assert tick_texts(below.get_xticklabels()) == ["1", "3", "2", "0"]
    assert figure.get_suptitle() == "2 of 4 latents are active"
    assert len(latent_activity(Activity(variances, None)).axes) == 1


def test_every_figure_is_an_opaque_png_of_sensible_size(pictures):
    frequencies = torch.linspace(0.02, 0.5, 20)
    figures = [
        image_grid(pictures, labels=list("abcdefghij")),
        training_curves(HISTORY),
        latent_map(pictures[:, 0, 0, :2], torch.arange(10)),
        power_spectra({"data": (frequencies, frequencies**-2)}),
        latent_activity(Activity(torch.rand(64), torch.rand(64))),
    ]
    for figure in figures:
        picture = rendered(figure)
        assert picture.format == "PNG"
        assert 400 < picture.width < 1300
        assert len(figure._repr_png_()) < 300_000
        if picture.mode == "RGBA":
            assert picture.getextrema()[3] == (255, 255), "nothing may shine through on a dark page"
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_type_stays_legible_when_a_phone_shrinks_the_page(pictures):
    """At 360 pixels of width, the smallest type of a full-width figure is still about 7 pixels high."""
    figure = traversal_grid(torch.rand(2, 7, 3, 64, 64), list(range(-3, 4)))
    points = figure.axes[0].get_xticklabels()[0].get_fontsize()
    assert points / 72 * 360 / figure.get_figwidth() > 7


def test_figures_leave_matplotlibs_settings_alone(pictures):
    before = dict(mpl.rcParams)
    image_grid(pictures)
    training_curves(HISTORY)
    assert dict(mpl.rcParams) == before
    with style():
        assert mpl.rcParams["font.size"] >= 11
    assert dict(mpl.rcParams) == before


def test_report_says_infinity_when_a_number_is_infinite(capsys):
    report(rate=float("inf"), large=123456.7)
    said = capsys.readouterr().out
    assert "rate: inf" in said
    assert "large: 123,457" in said
