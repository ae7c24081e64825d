"""A data card: what a reader should know about a set of images before training on it."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from vaelib.data.pictures import Crop


@dataclass(frozen=True)
class DataCard:
    """What a data set is, where it comes from, and what is wrong with it.

    Attributes:
        name: what `vaelib.data.load` calls it; `title`: what people call it.
        what: what the images show.
        shape: (C, H, W) of an image as loaded by default; 0 where it depends on the files.
        splits: number of images in each split; `division`: in words how they were divided; no numbers where they
            depend on the files.
        source: where the images come from; `fetched`: how they come to this machine.
        licence, consent, bias: what may be done with it, who agreed to it, whom it misrepresents.
        credit: whom to cite.
        crops: by name, for sets that are published with more than one.
        label: what a label means, or nothing.
    """

    name: str
    title: str
    what: str
    shape: tuple[int, int, int]
    splits: Mapping[str, int]
    division: str
    source: str
    fetched: str
    licence: str
    consent: str
    bias: str
    credit: str
    label: str = ""
    crops: Mapping[str, Crop] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The splits and their sizes, in words; nothing where the sizes are not fixed beforehand."""
        return ", ".join(f"{count:,} {split}" for split, count in self.splits.items())

    def rows(self) -> dict[str, str]:
        """What the card says, by heading: the one content of its text in a terminal and of its place in the book."""
        channels, height, width = self.shape
        colour = {1: "grey", 3: "colour"}.get(channels, "grey or colour")
        rows = {
            "What": self.what,
            "Images": f"{height}×{width}, {colour}" if height else f"square, of the size asked for, {colour}",
            "Splits": f"{self.size}. {self.division}" if self.size else self.division,
            "Labels": self.label or "none",
            "Source": self.source,
            "Fetched": self.fetched,
            "Licence": self.licence,
            "Consent": self.consent,
            "Known bias": self.bias,
            "Credit": self.credit,
        }
        if self.crops:
            rows["Crops"] = " ".join(f"{name}: {crop} ({crop.source})." for name, crop in self.crops.items())
        return rows

    def text(self, width: int = 80) -> str:
        """The card as plain text, no line longer than `width`."""
        heading = f"{self.name}: {self.title}"
        lines = textwrap.wrap(heading, width)
        lines.append("=" * max(map(len, lines)))
        for label, value in self.rows().items():
            lines += textwrap.wrap(
                value, width, initial_indent=f"{label + ':':12}", subsequent_indent=" " * 12, break_long_words=True
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()
