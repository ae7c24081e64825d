"""The command `vaelib`: a thin layer that reads options, calls the library and prints what it answers.

Each command is a module of `vaelib.commands` with `EXAMPLES`, `add_options(parser, arguments)` and `run(options)`. A
module is imported when its command is called, so `vaelib --help` answers before torch would have loaded.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import vaelib
from vaelib.commands.options import UsageError
from vaelib.config import near_miss

COMMANDS = {
    "data": "list the data sets, or show the card of one",
    "info": "what a preset or a saved model is made of: parameters, latents, cost",
    "train": "train a model, or go on with a run that was stopped",
    "sample": "draw new pictures from a trained model",
    "reconstruct": "send pictures through a trained model and compare",
    "evaluate": "measure a trained model against its test data",
    "compare": "measure several trained models with the same images, and write a report",
    "zoo": "list the trained models that come with vaelib, show, copy or retrain one",
    "import-nvae": "read published NVAE weights into a model folder",
}

EXAMPLES = """
  vaelib data                      which pictures there are
  vaelib train vae --data faces    train, with a progress bar; Ctrl-C stops, the same command goes on
  vaelib sample                    pictures from the newest run
  vaelib train vae --help          every option, with this preset's defaults
"""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations, names near misses and keeps its complaints to two lines."""

    def __init__(self, prog: str, description: str, examples: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"examples:\n{examples.strip(chr(10))}",
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=110),
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.prog} --help shows what there is")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse all arguments; one that is not known is an error with its near miss."""
        options, unknown = self.parse_known_args(list(arguments))
        if unknown:
            # After an unknown option its value is left over too, so the option is the one to name.
            name = next((text for text in unknown if text.startswith("-")), unknown[0]).split("=")[0]
            if name.startswith("-"):
                self.error(f"there is no option {name}.{near_miss(name, self._option_string_actions)}")
            self.error(f"{name!r} is one argument too many")
        return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows `vaelib` on the command line.
    Returns:
        The exit code: 0; 1 for what went wrong on the way; 2 for a mistake on the command line; 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    show_traceback = "--traceback" in arguments
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _complain(error, 2, show_traceback)
    except BrokenPipeError:
        # `vaelib data | head` closed the pipe; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, ArithmeticError, ImportError) as error:
        return _complain(error, 1, show_traceback)
    except RuntimeError as error:
        # PyTorch's own are bugs, or a memory that is full, and deserve their traceback; ours are messages.
        if not type(error).__module__.startswith("vaelib."):
            raise
        return _complain(error, 1, show_traceback)
    except KeyboardInterrupt:
        print("vaelib: stopped", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    top = Parser("vaelib", "The models of the book From Autoencoders to NVAE.", EXAMPLES)
    top.add_argument("--version", action="version", version=f"vaelib {vaelib.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="vaelib")
    for name, description in COMMANDS.items():
        commands.add_parser(name, help=description, prog=f"vaelib {name}", description=description, examples="")
    if not arguments or arguments[0].startswith("-"):
        top.parse(arguments)
        top.print_help()
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise UsageError(
            f"there is no command {command!r}; there are {', '.join(COMMANDS)}.{near_miss(command, COMMANDS)}\n"
            "vaelib --help shows what there is"
        )
    module = importlib.import_module(f"vaelib.commands.{command.replace('-', '_')}")
    parser = Parser(f"vaelib {command}", (module.__doc__ or "").strip(), module.EXAMPLES)
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    module.add_options(parser, rest)
    return module.run(parser.parse(rest))


def _complain(error: Exception, code: int, show_traceback: bool) -> int:
    if show_traceback:
        traceback.print_exception(error)
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None:  # not Python's "[Errno 20] Not a directory: …"
        message = f"{error.filename}: {error.strerror}"
    print(f"vaelib: {message}", file=sys.stderr)
    return code
