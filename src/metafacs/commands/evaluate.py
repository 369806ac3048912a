"""`metafacs evaluate`: run folder in, predictions on its test fold and their scores out."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse.typing import PositiveInt
from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.errors import InputError
from metafacs.progress import progress_bar
from metafacs.starter import starter_run

DESCRIPTION = """Scores trained detectors on the fold they never saw. The predictions are made once and written into
the run folder as predictions.parquet; every later look, comparison and figure reads that file and no model, so the
test fold is touched once. Prints F1 and AUC per AU beside the floor that saying "present" of every image reaches. With
--data, scores them on another prepared dataset instead (cross-dataset), for the AUs that both have; those predictions
are written as cross_DATASET.parquet and never take the place of the run's own."""

STARTER = "starter"
"""What names the detector that comes with the package."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    flags = parser(prog, DESCRIPTION)
    flags.add_argument("runs", nargs="*", type=Path, default=[], help="run folders of `metafacs train`.")
    flags.add_argument(
        "--model",
        type=Path | None,
        default=None,
        help='one run folder or detector.safetensors, in place of RUNS; "starter" is the one that comes with metafacs.',
    )
    flags.add_argument("--data", type=Path | None, default=None, help="another prepared dataset to score on.")
    flags.add_argument(
        "--out",
        type=Path | None,
        default=None,
        help="with --data and one run: the predictions file to write (.parquet).",
    )
    flags.add_argument(
        "--unseen_only",
        action="store_true",
        help="with --data: leave people who may have trained out, in place of refusing the dataset.",
    )
    flags.add_argument("--batch", type=PositiveInt, default=256, help="images at a time.")
    settings = parse(flags, arguments)
    from metafacs.api import Run
    from metafacs.evaluation.comparison import compare
    from metafacs.evaluation.tables import tables, to_text
    from metafacs.inference.scoring import predict_across

    printed = Console(soft_wrap=True, highlight=False)
    notes = Console(stderr=True, soft_wrap=True, highlight=False)
    if settings.model == Path(STARTER) and not settings.model.exists():
        settings.model = starter_run()
        if settings.data:  # the package's own folder is not a place for predictions
            settings.out = settings.out or Path(f"{STARTER}_on_{settings.data.name}.parquet")
    runs = [*settings.runs, *([settings.model] if settings.model else [])]
    _check(runs, settings.model, settings.data, settings.out)
    for run in runs:
        if settings.data is None:
            Run(run).evaluate(settings.batch)
            printed.print(to_text(tables(compare([run]))), markup=False)
            continue
        with progress_bar(f"predicting {run.name} on {settings.data.name}") as (update, _):
            crossed = predict_across(
                run,
                settings.data,
                settings.out,
                unseen_only=settings.unseen_only,
                batch=settings.batch,
                progress=update,
            )
        for note in crossed.notes:
            notes.print(f"note: {note}", markup=False)
        printed.print(to_text(tables(compare([crossed.path]))), markup=False)
        printed.print(f"cross-dataset predictions: {crossed.path}", markup=False)


def _check(runs: Sequence[Path], model: Path | None, data: Path | None, out: Path | None) -> None:
    if not runs:
        raise InputError("there is nothing to evaluate: name at least one run folder")
    if out and (not data or len(runs) > 1):
        raise InputError("--out is for one run on another dataset: give --data, and one run at a time")
    if data is None and model == starter_run():
        raise InputError("the detector that comes with metafacs has no test fold; say with --data what to score it on")
    if data is None and model is not None and model.is_file():
        raise InputError(f"{model} is a detector without its run; say with --data what to score it on")
