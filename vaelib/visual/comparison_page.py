"""A comparison of models as one HTML file to hand to a colleague: the tables, the pictures, and how all of it was made.

Nothing in it is fetched from anywhere, no script runs in it, and it reads on a phone, on paper and in the dark.

Example:
    pictures = {name: gallery(model, test_faces) for name, model in models.items()}
    Path("report.html").write_text(comparison_page(comparison, pictures), encoding="utf-8")
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image
from torch import Tensor

from vaelib.evaluation.compare import Gallery
from vaelib.evaluation.comparison import Comparison, Run, Subject
from vaelib.evaluation.tables import COSTS, LEGEND, Entry, Row, Table, circumstances, protocols, tables
from vaelib.visual.mosaic import mosaic_array

STYLE = Path(__file__).with_name("comparison_page.css")
COLUMNS = 8
ENLARGED = 2
"""By which factor pictures are shown, where there is room: single pixels of 64 × 64 are smaller than the eye."""


def comparison_page(
    comparison: Comparison,
    galleries: Mapping[str, Gallery] | None = None,
    *,
    floors: Mapping[str, Tensor] | None = None,
    title: str = "Models compared",
    command: str = "",
) -> str:
    """The page, as the text of an HTML file.

    Args:
        comparison: of whose numbers every one is on the page.
        galleries: pictures by name of a model; all of the same originals.
        floors: pictures (N, C, H, W) in [0, 1] by name of a floor.
        title: of the page.
        command: what made this comparison, to be typed again; empty where there was no command.
    """
    found = tables(comparison)
    galleries, floors = dict(galleries or {}), dict(floors or {})
    parts = [
        f"<h1>{escape(title)}</h1>",
        _opening(comparison),
        *(_section(table) for table in found if table.title != COSTS),
        *_pictures(galleries, floors),
        *(_section(table) for table in found if table.title == COSTS),
        "<h2>Who took part</h2>",
        _who(comparison.subjects),
        "<h2>How every number was made</h2>",
        _definitions(circumstances(comparison)),
        "<h3>Number by number</h3>",
        _definitions(protocols(comparison)),
        *_runs(comparison.subjects),
        *_again(comparison, command),
    ]
    return _document(title, "\n".join(parts))


def _document(title: str, body: str) -> str:
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(comparison: Comparison) -> str:
    models = [subject for subject in comparison.subjects if subject.kind == "model"]
    floors = len(comparison.subjects) - len(models)
    runs = sum(len(subject.runs) for subject in models)
    what = f"{_count(len(models), 'model')} in {_count(runs, 'training')}" if runs > len(models) else ""
    what = what or _count(len(models), "model")
    return (
        f"<p>{what} and {_count(floors, 'floor')}, measured with the same {comparison.samples:,} images of "
        f"{escape(comparison.data)} ({escape(comparison.split)}). Floors are images that took no "
        "model to make: fresh ones are as good as samples can be, and who does not beat the others has learned little."
        f"</p>\n<p>{escape(LEGEND)}</p>"
    )


def _section(table: Table) -> str:
    rows = [_row(row) for row in table.rows]
    return f"<h2>{escape(table.title)}</h2>\n" + _table(table.remark, ("", *table.headings), rows, table.title)


def _row(row: Row) -> str:
    name = f'<th scope="row">{escape(row.subject.name)}</th>'
    return f'<tr class="{row.subject.kind}">{name}{"".join(map(_cell, row.entries))}</tr>'


def _cell(entry: Entry) -> str:
    if not entry.text:
        return '<td><span aria-label="no such number">–</span></td>'
    kind = "best" if entry.best else "words" if len(entry.text) > 30 else ""
    text = escape(entry.text) + (" (best)" if entry.best else "")
    spread = f"<small>{escape(entry.spread)}</small>" if entry.spread else ""
    return f"<td{f' class={kind!r}' if kind else ''}>{text}{spread}</td>".replace("'", '"')


def _table(caption: str, headings: Iterable[str], rows: Iterable[str], label: str) -> str:
    """A table in a frame that scrolls sideways by touch and by key, so that the page does not."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' if heading else "<td></td>" for heading in headings)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">\n<table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</div>"
    )


def _pictures(galleries: Mapping[str, Gallery], floors: Mapping[str, Tensor]) -> list[str]:
    parts = []
    drawn = {name: each.samples for name, each in galleries.items() if each.samples is not None}
    if drawn or floors:
        parts.append("<h2>Samples to look at</h2>\n<p>Drawn with this seed, none chosen.</p>")
    for name, images in drawn.items():
        parts.append(_figure(images, name, f"{len(images)} samples of {name}."))
    for name, images in floors.items():
        parts.append(_figure(images, name, f"{len(images)} images of the floor “{name}”."))
    if galleries:
        originals = next(iter(galleries.values())).originals
        parts.append(
            "<h2>Reconstructions to look at</h2>\n<p>The first test images, and below them what each model makes of "
            "them, in the same order.</p>"
        )
        parts.append(_figure(originals, "the originals", f"The first {len(originals)} test images."))
        for name, each in galleries.items():
            alt = f"What {name} makes of the {len(each.reconstructions)} test images above, in their order."
            parts.append(_figure(each.reconstructions, name, alt))
    return parts


def _figure(images: Tensor, caption: str, alt: str) -> str:
    canvas = mosaic_array(images.split(COLUMNS))
    height, width = canvas.shape[:2]
    png = io.BytesIO()
    Image.fromarray(canvas).save(png, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    size = f'width="{ENLARGED * width}" height="{ENLARGED * height}"'
    return f'<figure><img src="{source}" {size} alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _who(subjects: Sequence[Subject]) -> str:
    rows = []
    for subject in subjects:
        sources = "; ".join(run.source for run in subject.runs if run.source)
        cells = (subject.kind, subject.description, sources or "–")
        texts = "".join(f'<td class="words">{escape(text)}</td>' for text in cells)
        rows.append(f'<tr class="{subject.kind}"><th scope="row">{escape(subject.name)}</th>{texts}</tr>')
    return _table("What stands behind each name.", ("", "kind", "what it is", "where it came from"), rows, "Names")


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>\n" + "\n".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs) + "\n</dl>"


def _runs(subjects: Sequence[Subject]) -> list[str]:
    """Every training by itself, where a model has several: what the means and the spread are of."""
    repeated = [subject for subject in subjects if len(subject.runs) > 1]
    parts = ["<h2>Training by training</h2>"] if repeated else []
    for subject in repeated:
        headings = [_run_name(run, number) for number, run in enumerate(subject.runs, 1)]
        rows = []
        for metric in subject.metrics():
            numbers = [{each.name: each.measurement for each in run.numbers} for run in subject.runs]
            texts = [each[metric].number() if metric in each else "–" for each in numbers]
            cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
            rows.append(f'<tr><th scope="row">{escape(metric.replace("_", " "))}</th>{cells}</tr>')
        table = _table(
            f"Every number of {subject.name}, each with its error over images.", ("", *headings), rows, subject.name
        )
        parts.append(f"<details>\n<summary>{escape(subject.name)}</summary>\n{table}\n</details>")
    return parts


def _run_name(run: Run, number: int) -> str:
    seed = f", seed {run.budget.seed}" if run.budget and run.budget.seed is not None else ""
    return (run.source or f"run {number}") + seed


def _again(comparison: Comparison, command: str) -> list[str]:
    hashes = [
        (run.source or subject.name, run.weights)
        for subject in comparison.subjects
        for run in subject.runs
        if run.weights
    ]
    parts = ["<h2>How to make this again</h2>"]
    if command:
        parts.append(
            f"<p>With the versions above, this command makes the page:</p>\n<pre><code>{escape(command)}</code></pre>"
        )
    parts.append(
        "<p>The same seeds give the same numbers on the same kind of machine, times apart. Another kind rounds "
        "otherwise, and its numbers differ by a small part of their errors. Below are the SHA-256 of the settings and "
        "weights of each model that was measured.</p>"
    )
    parts.append(_definitions(hashes))
    return parts


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
