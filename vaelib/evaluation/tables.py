"""A comparison in tables small enough for a page: which columns belong together, what they are called, and in words how
their numbers were made. The terminal and the report show the same tables.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from vaelib.evaluation.comparison import BETTER, ERRORS, SPEEDS, Budget, Cell, Column, Comparison, Subject
from vaelib.evaluation.protocol import Protocol

SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Samples",
        "Images drawn from each model, beside real images that it was not trained on.",
        ("frechet_samples", "kernel_samples", "precision", "recall", "density", "coverage"),
    ),
    (
        "Sharpness",
        "How much images change from pixel to pixel, and how close that comes to the real images.",
        (
            "sharpness_samples",
            "sharpness_closeness_samples",
            "sharpness_reconstructions",
            "sharpness_closeness_reconstructions",
            "sharpness_data",
        ),
    ),
    (
        "Reconstructions",
        "Real images sent through the model, each beside its own original. These flatter: no rival to samples.",
        (
            "reconstruction_mse",
            "reconstruction_psnr",
            "reconstruction_ssim",
            "frechet_reconstructions",
            "kernel_reconstructions",
        ),
    ),
    (
        "Objective",
        "What training minimises, on images that it has not seen. A density and a probability never share a column.",
        ("negative_elbo", "bits_per_dimension", "distortion", "rate"),
    ),
)
"""Title, how to read it, and the numbers of each table, in order. Times have a table of their own."""

LEGEND = (
    "↓ less is better, ↑ more is better. ± is one standard error. "
    f"The best model of a column is marked only where it is more than {ERRORS:g} standard errors from every other, and "
    "no run of the one lies among those of the other."
)

COSTS = "Cost"


@dataclass(frozen=True)
class Entry:
    """One place of a table.

    Attributes:
        text: the number with its error; empty where there is none.
        spread: from which to which number the runs go; empty for one run, and where they agree.
        best: whether the errors leave no doubt that it is the best of its column.
    """

    text: str = ""
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """What a table says of one model or floor."""

    subject: Subject
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """Some numbers of all subjects that have any of them.

    Attributes:
        title: what it is about; `remark`: how to read it.
        headings: one for each entry of a row.
        rows: the models in their order, then the floors.
    """

    title: str
    remark: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """All numbers of a comparison, and what each model took to make. Tables without numbers are left out."""
    columns = comparison.columns()
    headed = list(zip(columns, _headings(columns), strict=True))
    known = {*SPEEDS, *(name for _, _, names in SECTIONS for name in names)}
    others = tuple(dict.fromkeys(column.metric for column in columns if column.metric not in known))

    def chosen(*names: str) -> list[tuple[str, list[Entry]]]:
        return [(heading, _entries(column)) for name in names for column, heading in headed if column.metric == name]

    made = [
        _table(comparison, title, remark, chosen(*names))
        for title, remark, names in (*SECTIONS, ("Others", "", others))
    ]
    remark = "What a model took to make, by its card, and takes to draw an image. Times compare on one machine only."
    made.append(_table(comparison, COSTS, remark, [*_budgets(comparison), *chosen(*SPEEDS)]))
    return tuple(table for table in made if table.rows)


def protocols(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Each column's heading, and how its numbers were made, in words."""
    columns = comparison.columns()
    return tuple(
        (heading, in_words(column.protocol)) for heading, column in zip(_headings(columns), columns, strict=True)
    )


def circumstances(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """What all numbers of a comparison share, by what it is about, in words."""
    shared = [
        ("Real images", f"{comparison.data}, {comparison.split} split ({comparison.key})"),
        ("Counts", f"{comparison.samples:,} samples of every model and floor, against as many real images"),
        ("Seed", f"{comparison.seed}, of every draw"),
        ("Floors", f"made from {comparison.training}"),
        ("Features", _features(comparison)),
        ("Versions", ", ".join(comparison.versions)),
    ]
    return (*shared, *(("Note", note) for note in comparison.notes))


def in_words(protocol: Protocol) -> str:
    """How a number was made; the features by their name alone."""
    images = f"{protocol.samples:,} image{'s' if protocol.samples != 1 else ''}" if protocol.samples else ""
    if images and protocol.image_shape:
        images += f" of {'×'.join(map(str, protocol.image_shape))}"
    if protocol.reference_samples:
        images += f" against {protocol.reference_samples:,} real ones"
    parts = (
        protocol.definition,
        images,
        f"features of {protocol.features}" if protocol.features else "",
        " ".join(part for part in (protocol.data, protocol.split) if part),
        f"seed {protocol.seed}" if protocol.seed is not None else "",
        *protocol.notes,
        protocol.warning,
    )
    return "; ".join(part for part in parts if part)


def _features(comparison: Comparison) -> str:
    protocols = (column.protocol for column in comparison.columns())
    found = next((each for each in protocols if each.features), None)
    if found is None:
        return "none, so nothing is compared by features"
    parts = (found.layer, found.resize, found.weights)
    standard = {"FID", "KID"} & {column.protocol.metric for column in comparison.columns()}
    warning = (
        "" if standard else ". Distances by these features are not those of papers, and compare with no FID or KID"
    )
    return f"{found.features} ({'; '.join(part for part in parts if part)}){warning}"


def _headings(columns: Sequence[Column]) -> list[str]:
    """What to call each column; those that would share a name are told apart by what differs in their protocols."""
    plain = [_heading(column) for column in columns]
    found = []
    for column, name in zip(columns, plain, strict=True):
        twins = [other for other, its in zip(columns, plain, strict=True) if its == name and other is not column]
        fields = dict.fromkeys(field for twin in twins for field in column.protocol.differences(twin.protocol))
        differing = ", ".join(f"{getattr(column.protocol, field)}" for field in fields)
        found.append(f"{name} ({differing})" if differing else name)
    arrows = {"lower": " ↓", "higher": " ↑"}
    return [name + arrows.get(BETTER.get(column.metric, ""), "") for column, name in zip(columns, found, strict=True)]


def _heading(column: Column) -> str:
    subject = column.metric.rpartition("_")[2]
    of = f" of {subject}" if subject in ("samples", "reconstructions", "data") else ""
    return ", ".join(part for part in (f"{column.protocol.metric}{of}", column.protocol.unit) if part)


def _table(comparison: Comparison, title: str, remark: str, columns: Sequence[tuple[str, Sequence[Entry]]]) -> Table:
    rows = []
    for place, subject in enumerate(comparison.subjects):
        entries = tuple(entries[place] for _, entries in columns)
        if any(entry.text for entry in entries):
            rows.append(Row(subject, entries))
    return Table(title, remark, tuple(heading for heading, _ in columns), tuple(rows))


def _entries(column: Column) -> list[Entry]:
    return [
        Entry(cell.measurement.number(), _spread(cell), place == column.best) if cell else Entry()
        for place, cell in enumerate(column.cells)
    ]


def _spread(cell: Cell) -> str:
    if cell.lowest == cell.highest:
        return ""
    low, high = (_beside(cell, value) for value in (cell.lowest, cell.highest))
    return f"{low} to {high}, {len(cell.repetitions)} runs"


def _beside(cell: Cell, value: float) -> str:
    """A number with as many digits as the mean of all runs."""
    text = replace(cell.measurement, value=value).number()
    return replace(cell.measurement, value=value, standard_error=None).number() if "(" in text else text.split(" ±")[0]


def _budgets(comparison: Comparison) -> list[tuple[str, list[Entry]]]:
    def column(heading: str, told: Callable[[Budget], str | None]) -> tuple[str, list[Entry]]:
        entries = [
            Entry(_listed(told(run.budget) for run in subject.runs if run.budget)) for subject in comparison.subjects
        ]
        return heading, entries

    def hours(budget: Budget) -> str | None:
        return None if budget.seconds is None else f"{budget.seconds / 3600:.2g}"

    def images(budget: Budget) -> str | None:
        return None if budget.images_seen is None else f"{budget.images_seen:,}"

    columns = [
        column("parameters", lambda budget: f"{budget.parameters:,}"),
        column("images in training", images),
        column("training, hours", hours),
        column("hardware of the training", lambda budget: budget.hardware),
        column("seed of the training", lambda budget: None if budget.seed is None else str(budget.seed)),
    ]
    return [(heading, entries) for heading, entries in columns if any(entry.text for entry in entries)]


def _listed(texts: Iterable[str | None]) -> str:
    """What the runs say, each answer once, in their order."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
