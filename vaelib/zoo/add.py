"""Put a trained model into the zoo: `python -m vaelib.zoo.add runs/vae-faces --name vae-faces64 --title "…"`."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from vaelib import storage, zoo

LICENCE = "non-commercial teaching and research"
METRICS, LOG_ROWS = "metrics.jsonl", 60


def add(source: str | Path, name: str, *, title: str, licence: str = LICENCE) -> Path:
    """Copy a model into the zoo in half precision and enter it in the manifest; a model of that name is replaced.

    Args:
        source: a saved model or a finished run.
        name: lower-case words and hyphens, such as `vae-faces64`.
        title: one line for people.
        licence: what the weights may be used for.
    Returns:
        The folder in the zoo.
    Raises:
        ValueError: a name that would not do, or a model trained on the photographs of real people in `portraits`.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"a name in the zoo is lower-case letters, digits and hyphens, not {name!r}")
    model, card = storage.load(source), storage.read_card(storage.find(source))
    if "portraits" in json.dumps(card):
        raise ValueError(
            "weights trained on portraits, photographs of real people, are not handed out: see the data card"
        )
    folder = storage.save(model, zoo.model_folder(name), {**card, "licence": licence}, half=True)
    if rows := log_of(Path(source)):
        lines = ",\n".join(json.dumps(row) for row in rows)
        (folder / zoo.LOG).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    entry = {
        "title": title,
        "kind": model.kind,
        "licence": licence,
        "files": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
        "sha256": zoo.sha256(folder / storage.WEIGHTS),
    }
    manifest = zoo.FOLDER / zoo.MANIFEST
    entries = {**storage.read_json(manifest), name: entry}
    partial = manifest.with_suffix(".partial")
    partial.write_text(json.dumps(entries, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(manifest)
    return folder


def log_of(run: Path) -> list[dict[str, float | str]]:
    """What a run logged, its stages first: about `LOG_ROWS` rows of each, and all that validated.

    Each row has the stage's name, the images and the seconds since the very beginning, validations not counted, and the
    terms of the loss to four digits. A folder without a log gives none.
    """
    rows: list[dict[str, float | str]] = []
    images = seconds = 0.0
    folders = [*sorted(run.glob("stage-*"), key=lambda one: int(one.name.split("-")[1])), run]
    for folder in folders:
        if not (folder / METRICS).is_file():
            continue
        of_stage, seen = [], 0.0
        for line in (folder / METRICS).read_text().splitlines():
            row = json.loads(line)
            seconds += (row["images_seen"] - seen) / row["images_per_second"]
            images += row["images_seen"] - seen
            seen = row["images_seen"]
            terms = {name: float(f"{value:.4g}") for name, value in row.items() if "/" in name}
            place = {"stage": folder.name if folder != run else "last", "step": row["step"]}
            of_stage.append({**place, "images_seen": round(images), "seconds": round(seconds, 1), **terms})
        every = -(-len(of_stage) // LOG_ROWS)
        validated = [row for row in of_stage if "validation/total" in row]
        rows += [row for number, row in enumerate(of_stage, 1) if number % every == 0 or row in validated]
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.zoo.add", description=add.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("source", help="a saved model or a finished run")
    parser.add_argument("--name", required=True, help="lower-case words and hyphens, such as vae-faces64")
    parser.add_argument("--title", required=True, help="one line for people")
    parser.add_argument("--licence", default=LICENCE, help=f"what the weights may be used for (default: {LICENCE})")
    options = parser.parse_args(arguments)
    try:
        folder = add(options.source, options.name, title=options.title, licence=options.licence)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"{options.name}: {(folder / storage.WEIGHTS).stat().st_size / 1e6:.1f} MB in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
