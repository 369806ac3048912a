"""`metafacs inspect`: prepared dataset in, counts, a picture and every problem out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.data.inspection import inspect, montage, render_text
from metafacs.data.prepared import PreparedDataset
from metafacs.progress import progress_bar

DESCRIPTION = """Looks at a prepared dataset as a person would before training on it: faces per subject and fold, base
rate of every AU, expressions and how far annotators agree, and every problem by row (unreadable image, subject in two
folds, impossible label). Decodes every image. With --out, writes the tables as CSV and a montage of labelled faces."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    command = parser(prog, DESCRIPTION)
    command.add_argument("folder", type=Path, help="the prepared dataset.")
    command.add_argument("--out", type=Path | None, default=None, help="folder for montage.png and the tables.")
    command.add_argument("--count", type=int, default=24, help="faces in the montage.")
    command.add_argument("--seed", type=int, default=0, help="of the choice of faces.")
    command.add_argument("--landmarks", action="store_true", help="draw the landmarks over the faces.")
    settings = parse(command, arguments)
    dataset = PreparedDataset.open(settings.folder)
    console = Console(highlight=False)
    with progress_bar("reading faces") as (update, _):
        found = inspect(dataset, update)
    console.print(render_text(found))
    if settings.out:
        found.write(settings.out)
        picture = settings.out / "montage.png"
        montage(dataset, picture, settings.count, settings.seed, landmarks=settings.landmarks)
        console.print(f"tables and {picture} written", markup=False)
