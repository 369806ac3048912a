"""The command line: finds the subcommand, reads its flags, and turns what users can cause into plain messages."""

import difflib
import errno
import importlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Sequence

from rich.console import Console

from metafacs import __version__, memory
from metafacs.errors import InputError

COMMANDS = {
    "demo": "from nothing to a table of STL, MTL and MAL on rendered faces",
    "prepare": "from the raw release of a dataset to aligned faces",
    "audit": "compare a prepared dataset with what is published about it",
    "synth": "render AU or expression datasets with known truth",
    "inspect": "look at a prepared dataset: counts, base rates, a picture, problems by row",
    "train": "train a detector by a method of your choice",
    "evaluate": "score a trained detector on its test fold",
    "detect": "find faces in photographs and videos and read their AUs",
    "serve": "a web page and an HTTP API for a detector, on this computer",
    "export": "write a trained detector as one ONNX file that needs no PyTorch",
    "benchmark": "train and score a grid of methods, folds and seeds; print the table",
    "compare": "put runs side by side in a table like the paper's",
    "figures": "draw the paper's figures from runs or a benchmark",
    "report": "one HTML file of a benchmark or of runs: tables, figures, settings",
}
USAGE, INTERRUPTED = 2, 130
_GO_ON = {
    "train": "the same command with --resume goes on from what was saved",
    "detect": "what was found so far is in the .partial.csv beside the output; the same command with --resume goes on",
}
_MESSAGES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew larger than is allowed here",
    errno.EIO: "the disk fails",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "the disk is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ELOOP: "a link is in the way",
    errno.ENAMETOOLONG: "the name is too long",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0, 2 for what the user can mend, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not given or given[0] in ("-h", "--help"):
        Console(highlight=False, soft_wrap=True).print(overview(), markup=False)
        return 0 if given else USAGE
    if given[0] == "--version":
        Console(highlight=False).print(f"metafacs {__version__}")
        return 0
    if given[0] not in COMMANDS:
        near = difflib.get_close_matches(given[0], COMMANDS, 1)
        hint = f"did you mean '{near[0]}'? Known" if near else "known"
        console.print(f"metafacs: unknown command '{given[0]}'; {hint}: {', '.join(COMMANDS)}", markup=False)
        return USAGE
    module = f"metafacs.commands.{given[0]}"
    return run(given[0], lambda: importlib.import_module(module).main(f"metafacs {given[0]}", given[1:]))


def overview() -> str:
    """What `metafacs --help` prints."""
    lines = "\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())
    return (
        "metafacs: train facial Action Unit detectors from few AU labels and many expression labels.\n\n"
        f"usage: metafacs COMMAND [flags]\n\n{lines}\n\n"
        "`metafacs COMMAND --help` explains a command and all of its flags; every flag can also stand in a YAML file\n"
        "given with --config. Start with `metafacs demo`."
    )


def run(command: str, call: Callable[[], object]) -> int:
    """Makes a call on behalf of a command; returns its exit status, after one plain message where users can mend it."""
    from rich.logging import RichHandler

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    # torch's own forward-mode rules still use it; nobody here can mend that
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    threading.excepthook = _thread_failed
    try:
        call()
    except InputError as error:
        console.print(f"metafacs {command}: {error}", markup=False)
        return USAGE
    except (MemoryError, RuntimeError, OSError) as error:  # torch's own for a GPU's memory is a RuntimeError
        said = memory.message(error) or _system_message(error)
        if said is None:
            raise
        console.print(f"metafacs {command}: {said}", markup=False)
        return USAGE
    except KeyboardInterrupt:
        go_on = _GO_ON.get(command, "the same command goes on from what was saved")
        console.print(f"metafacs {command}: stopped; {go_on}", markup=False)
        return INTERRUPTED
    return 0


def _system_message(error: Exception) -> str | None:
    """What the system refused, and what to do; None where that is not the user's to mend."""
    if not isinstance(error, OSError) or error.errno not in _MESSAGES:
        return None
    where = f" ({error.filename})" if error.filename else ""
    untouched = "what was finished before is untouched; mend that, or choose another place, and try again"
    return f"{_MESSAGES[error.errno]}{where}; {untouched}"


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A log writer's thread meets the full disk too; the main thread says so once, without a traceback."""
    if isinstance(failure.exc_value, OSError) and failure.exc_value.errno in _MESSAGES:
        return
    threading.__excepthook__(failure)


if __name__ == "__main__":
    sys.exit(main())
