"""The numbers of a run: averages since the last row, rows by step, and the file they are in."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vaelib.config import near_miss
from vaelib.models import Loss

Row = dict[str, float]


class History:
    """The metrics of a run, one row for every `log_every` steps and for every validation.

    A row has `step` (steps done), `epoch`, `images_seen`, `learning_rate`, `images_per_second`; `train/…`, the means of
    the steps since the last row; and `validation/…` where there was one (`validation/ema/…` with the averaged weights).
    Losses are nats per image.
    """

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = rows or []

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self)} rows of {', '.join(self.names())})"

    def names(self) -> list[str]:
        """Every metric that some row has."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """The steps at which a metric was written, and its values. `distortion` is short for `train/distortion`.

        Raises:
            KeyError: no row has it; the message names the near miss.
        """
        names = self.names()
        name = name if name in names else f"train/{name}"
        if name not in names:
            known = [*names, *(one.removeprefix("train/") for one in names)]
            hint = near_miss(name.removeprefix("train/"), known)
            raise KeyError(f"no metric {name.removeprefix('train/')!r}; there are {', '.join(names)}.{hint}")
        rows = [row for row in self.rows if name in row]
        return [int(row["step"]) for row in rows], [row[name] for row in rows]

    def last(self) -> Row:
        """The latest value of every metric."""
        return {name: value for row in self.rows for name, value in row.items()}


class MetricsFile:
    """`metrics.jsonl`: one row a line, appended as it is made."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Row) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def read_until(self, step: int) -> list[Row]:
        """Forget the rows after this step, which a resumed run makes again, and give those before."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    break  # the line that was being written when the run was killed
                if row["step"] > step:
                    break
                rows.append(row)
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        partial.replace(self.path)
        return rows


class RunningMeans:
    """Means of named terms since the last row. They stay on the device, so that adding to them waits for nothing."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Take in one more value of a term: a scalar, or one number per image."""
        value = value.detach().float()
        value = value.mean() if value.dim() else value
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + 1

    def add_loss(self, prefix: str, loss: Loss) -> None:
        """Take in every term of a loss, and its total."""
        for name, value in {**loss.per_image, **loss.per_batch, "total": loss.total}.items():
            self.add(prefix + name, value)

    def means(self) -> Row:
        """Every mean, by name."""
        return {name: total / self.counts[name] for name, total in self.totals().items()}

    def totals(self) -> Row:
        """Every sum, by name, in one transfer."""
        if not self.sums:
            return {}
        return dict(zip(self.sums, torch.stack(list(self.sums.values())).tolist(), strict=True))

    def restore(self, totals: Row, counts: dict[str, int], device: torch.device) -> None:
        """Go on from the sums and counts of a checkpoint."""
        self.sums = {name: torch.tensor(total, dtype=torch.float32, device=device) for name, total in totals.items()}
        self.counts = dict(counts)
