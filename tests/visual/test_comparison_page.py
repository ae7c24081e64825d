"""The report as a colleague gets it: one whole HTML file that needs nothing, with every number and its protocol."""

import base64
import io
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import (
    FEATURES,
    Comparison,
    Entrant,
    FeatureNetwork,
    Measurement,
    Number,
    Protocol,
    Run,
    Subject,
    compare,
    floor_images,
    gallery,
)
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from vaelib.networks import Linear
from vaelib.visual import comparison_page
from vaelib.visual.comparison_page import COLUMNS

SHAPE = (3, 12, 12)
HOSTILE = 'a<script>alert("x")</script>&\'b'
VOID = {"meta", "img", "br", "link", "hr"}


@dataclass
class Element:
    """An element of the page, with everything inside."""

    tag: str
    attributes: dict[str, str | None]
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, *tags: str) -> list["Element"]:
        """Every element of these kinds inside, in order."""
        inner = [found for child in self.children for found in [child, *child.all()]]
        return [each for each in inner if not tags or each.tag in tags]

    @property
    def text(self) -> str:
        """What a reader reads of it."""
        return " ".join(" ".join(self.texts + [child.text for child in self.children]).split())


class Tree(HTMLParser):
    """The page as a tree; a tag that is not closed, or closed twice, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert [each.tag for each in self.open] == [""], "something was left open"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        assert len(attrs) == len(element.attributes), f"an attribute of {tag} is there twice"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.open[-1].texts.append(data)


def image_set(count: int, seed: int, split: str) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return ImageSet(images, "toy", split, f"toy {split} <{seed}>")


TEST, TRAINING = image_set(40, 0, "test"), image_set(60, 1, "train")


def small(kind, config, seed: int = 0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config(image_shape=SHAPE, latent_dimension=2, network=Linear()))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Comparison, dict]:
    """Three models under two names, one of which means harm, and their pictures."""
    card = {"train": {"seed": 5}, "images_seen": 4321, "seconds": 7200, "hardware": "one <abacus>"}
    models = {
        HOSTILE: [Entrant(small(VAE, VAEConfig), "runs/<0>", card), Entrant(small(VAE, VAEConfig, 1), "runs/1")],
        "autoencoder": small(Autoencoder, AutoencoderConfig),
    }
    with pytest.MonkeyPatch.context() as patch:
        pixels = FeatureNetwork("pixels & more", 432, "all <of them>", "none", "none", nn.Flatten)
        patch.setitem(FEATURES, "pixels", pixels)
        patch.setenv("VAELIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        comparison = compare(models, TEST, TRAINING, samples=40, features="pixels")
    first = {HOSTILE: models[HOSTILE][0].model, "autoencoder": models["autoencoder"]}
    return comparison, {name: gallery(model, TEST, samples=11, originals=5) for name, model in first.items()}


@pytest.fixture(scope="module")
def text(measured) -> str:
    comparison, galleries = measured
    floors = {"noise": floor_images("noise", TEST, TRAINING, samples=COLUMNS)}
    command = "vaelib compare 'a<b>' --out report.html"
    return comparison_page(comparison, galleries, floors=floors, title=f"Compared: {HOSTILE}", command=command)


@pytest.fixture(scope="module")
def page(text) -> Element:
    return Tree(text).root


def test_the_page_is_whole_and_needs_nothing(text, page):
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert not page.all("script", "link", "iframe", "object")
    for element in page.all():
        for name in ("src", "href"):
            assert (element.attributes.get(name) or "data:").startswith("data:image/png;base64,"[:5])
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert not re.search(r"https?://", text)


def test_it_is_readable_in_the_dark_and_on_a_phone(page):
    (style,) = page.all("style")
    assert "prefers-color-scheme: dark" in style.text
    assert any(each.attributes.get("name") == "viewport" for each in page.all("meta"))
    frames = [each for each in page.all("div") if each.attributes.get("class") == "scroll"]
    assert len(frames) == len(page.all("table"))
    assert all(each.attributes["tabindex"] == "0" and each.attributes["aria-label"] for each in frames)


def test_every_number_of_every_run_is_on_the_page(measured, page):
    comparison, _ = measured
    cells = " | ".join(cell.text for cell in page.all("td"))
    for subject in comparison.subjects:
        for run in subject.runs:
            for number in run.numbers:
                assert number.measurement.number() in cells, (subject.name, number.name)
        for metric in subject.metrics():
            assert subject.cell(metric).measurement.number() in cells


def test_every_number_has_its_protocol(measured, page):
    comparison, _ = measured
    (read,) = page.all("main")
    for column in comparison.columns():
        for part in (column.protocol.definition, column.protocol.unit, *column.protocol.notes, column.protocol.warning):
            assert " ".join(part.split()) in read.text
    for part in (
        comparison.key,
        comparison.training,
        "all <of them>",
        *comparison.versions,
        "40 samples",
        "0, of every draw",
    ):
        assert part in read.text
    assert "Fréchet distance" in read.text
    assert not re.search(r"FID|KID", read.text.replace("compare with no FID or KID", ""))


def test_names_are_escaped_and_read_as_they_are(text, page):
    assert "<script" not in text
    assert page.all("title")[0].text == f"Compared: {HOSTILE}"
    assert HOSTILE in [each.text for each in page.all("th")]
    assert any(HOSTILE in (each.attributes["alt"] or "") for each in page.all("img"))
    assert page.all("code")[0].text == "vaelib compare 'a<b>' --out report.html"


def test_tables_have_captions_and_headings_that_say_what_they_head(page):
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert table.children[0].text
        assert {each.attributes.get("scope") for each in table.all("th")} == {"row", "col"}
        widths = {len([each for each in row.children if each.tag in ("td", "th")]) for row in table.all("tr")}
        assert len(widths) == 1, "every row is as long as the heading"


def test_pictures_are_pngs_of_the_right_size_with_a_text_for_those_who_do_not_see_them(measured, page):
    _, galleries = measured
    sizes = []
    for image in page.all("img"):
        assert image.attributes["alt"].endswith(".")
        data = base64.b64decode(image.attributes["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.format == "PNG"
            sizes.append(picture.size)
            assert int(image.attributes["width"]) == 2 * picture.width
    side, gap = SHAPE[1], 2
    row = [count * (side + gap) - gap for count in (COLUMNS, 5)]
    # Samples in two rows, a floor in one, originals and what two models make of them.
    assert sizes == [(row[0], 2 * side + gap), (row[0], side), *[(row[1], side)] * 3]
    assert galleries["autoencoder"].samples is None
    captions = [each.text for each in page.all("figcaption")]
    assert captions == [HOSTILE, "noise", "the originals", HOSTILE, "autoencoder"]


def test_what_it_took_and_what_was_measured_can_be_checked(measured, page):
    comparison, _ = measured
    (read,) = page.all("main")
    for part in ("4,321", "one <abacus>", "runs/<0>", "VAE, fixed-gaussian likelihood"):
        assert part in read.text
    for subject in comparison.subjects:
        for run in subject.runs:
            assert run.weights in read.text


def test_numbers_alone_make_a_page_too(measured):
    comparison, _ = measured
    page = Tree(comparison_page(comparison)).root
    assert not page.all("img", "code")
    assert len(page.all("table")) > 4


def test_the_best_is_marked_in_words_and_not_by_colour_alone(measured):
    comparison, _ = measured

    def scored(name: str, value: float) -> Subject:
        number = Number("precision", Measurement(value, Protocol("precision", samples=40), 0.01))
        return Subject(name, "model", "words", (Run((number,)),))

    page = Tree(comparison_page(replace(comparison, subjects=(scored("worse", 0.5), scored("better", 0.9))))).root
    (marked,) = (each for each in page.all("td") if each.attributes.get("class") == "best")
    assert marked.text == "0.900 ± 0.010 (best)"
