"""Read weights that the authors of NVAE published, and save them as a model of vaelib. No code of the file is run."""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from vaelib.commands.options import settings_table

EXAMPLES = """
  vaelib import-nvae checkpoint.pt --out runs/celeba64/model    then: vaelib sample celeba64
  vaelib import-nvae checkpoint.pt --out DIR --overwrite        replace a model that is there
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib import-nvae`."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a file of the published layout, .pt")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR")


def run(options: argparse.Namespace) -> int:
    """Read, save, and say what was read."""
    from vaelib import storage
    from vaelib.commands.runs import shape_text, table
    from vaelib.models.nvae import import_checkpoint
    from vaelib.models.nvae.checkpoint import published_options

    file, out = options.checkpoint.expanduser(), options.out.expanduser()
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"{out} is there already: choose another folder, or replace the model with --overwrite")
    model = import_checkpoint(file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    settings = published_options(file)
    card = {"imported_from": {"file": file.name, "sha256": digest}, "published_settings": settings}
    storage.save(model, out, card)
    config = model.config
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"NVAE, images {shape_text(config.image_shape)}, {sum(config.groups)} groups, {count:,} parameters")
    print(f"\nread from {file.name}\n  SHA-256 {digest}")
    print("\nsettings\n" + table(settings_table(config)))
    print(f"\nsaved in {out}. Look at it with `vaelib info {out}`")
    return 0
