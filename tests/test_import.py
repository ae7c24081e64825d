"""What an import costs: nothing is loaded before it is used."""

import json
import subprocess
import sys

import pytest

import vaelib

STATEMENTS = (
    "import vaelib",
    "vaelib.probability, vaelib.networks",
    "vaelib.data",
    "vaelib.models",
)


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The names in sys.modules of one fresh interpreter after each statement in turn."""
    code = "import json, sys\n" + "".join(f"{line}\nprint(json.dumps(sorted(sys.modules)))\n" for line in STATEMENTS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {line: set(json.loads(names)) for line, names in zip(STATEMENTS, done.stdout.splitlines(), strict=True)}


def test_importing_vaelib_imports_nothing_heavy_not_even_torch(loaded):
    heavy = {"torch", "torchvision", "numpy", "torchmetrics", "accelerate", "matplotlib", "scipy", "PIL", "IPython"}
    assert "vaelib" in loaded["import vaelib"]
    assert not heavy & loaded["import vaelib"]


def test_data_networks_and_probability_know_nothing_of_models(loaded):
    assert {"vaelib.data", "vaelib.networks", "vaelib.probability"} <= loaded["vaelib.data"]
    assert not {name for name in loaded["vaelib.data"] if name.startswith("vaelib.models")}


def test_the_models_import_neither_metrics_nor_trainers_nor_plots(loaded):
    assert {"torch", "vaelib.models"} <= loaded["vaelib.models"]
    assert not {"torchmetrics", "accelerate", "matplotlib", "scipy", "IPython", "ipywidgets"} & loaded["vaelib.models"]
    above = ("vaelib.training", "vaelib.evaluation", "vaelib.visual")
    assert not {name for name in loaded["vaelib.models"] if name.startswith(above)}


def test_a_name_that_does_not_exist_lists_those_that_do():
    with pytest.raises(AttributeError, match=r"vaelib has no 'trian'; it has .*train"):
        vaelib.trian  # noqa: B018


def test_dir_lists_the_public_names():
    assert {"data", "models", "probability", "load", "save", "train", "profile", "__version__"} <= set(dir(vaelib))
