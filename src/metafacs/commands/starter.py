"""The detector that comes with metafacs, where a command is given no other."""

from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console

from metafacs.runs import DETECTOR


def add_model_flag(flags: ArgumentParser) -> None:
    """`--model`, None where the detector that comes with metafacs is to be used."""
    flags.add_argument(
        "--model",
        type=Path | None,
        default=None,
        help=f"run folder of `metafacs train`, or its {DETECTOR}; without it the small detector that comes with "
        "metafacs is used, which is for trying things out, not for measuring people.",
    )


def announced_starter(console: Console) -> Path:
    """Its run folder; says once that it is used, and what it is not for.

    Raises:
        InputError: the package was installed without it.
    """
    from metafacs.starter import starter_run

    folder = starter_run()
    console.print(
        "no --model given: this is the detector that comes with metafacs, for trying things out, not for measuring "
        "people (it was never scored against FACS codes of real faces)",
        markup=False,
    )
    return folder
