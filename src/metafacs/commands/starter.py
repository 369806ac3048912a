"""The detector that comes with metafacs, where a command is given no other."""

from pathlib import Path

from rich.console import Console


def announced_starter(console: Console) -> Path:
    """Its run folder; says once that it is used, and what it is not for.

    Raises:
        InputError: the package was installed without it.
    """
    from metafacs.starter import starter_run

    folder = starter_run()
    console.print(
        "no --model given: this is the detector that comes with metafacs, trained on rendered faces, for trying "
        "things out, not for measuring people",
        markup=False,
    )
    return folder
