"""Every figure that a set of runs has the tables for, with the words that go below it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from metafacs.analysis import findings
from metafacs.analysis.curves import CURVES, training_curves, training_records
from metafacs.analysis.faces import EXTREME, RANKED, extreme_faces, ranked_faces
from metafacs.analysis.records import read_run_name
from metafacs.analysis.sample_weights import ACTIVE, MethodWeights, read_method_weights
from metafacs.analysis.scores import AVERAGE_F1, F1_PER_AU, GAINS, average_figure, gains_figure, per_au_figure
from metafacs.analysis.style import Words
from metafacs.analysis.weights import (
    ACTIVE_AUS,
    BY_DATASET,
    CAUSE,
    CONSISTENCY,
    active_figure,
    cause_figure,
    consistency_figure,
    dataset_figure,
)
from metafacs.errors import InputError
from metafacs.evaluation.comparison import Comparison, compare, method_title
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.runs import METRICS

LEFT_OUT = "left out"
"""How the note on a figure that could not be drawn begins."""
ALIKE = 0.02
"""Weights with a smaller standard deviation, as a share of their mean, are as good as equal."""
Draw = Callable[[MethodWeights, Path], list[Path]]
Find = Callable[[MethodWeights], str]


@dataclass(frozen=True)
class Drawn:
    """One figure: its files (PNG, PDF), its words, and a sentence on what is to be seen."""

    title: str
    finding: str
    caption: str
    files: list[Path]


@dataclass(frozen=True)
class Gallery:
    """The figures of a study, and a sentence on each that could not be drawn."""

    figures: list[Drawn] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All files written."""
        return [path for drawn in self.figures for path in drawn.files]

    def draw(self, words: Words, figure: Callable[[], list[Path]], finding: Callable[[], str]) -> None:
        """Adds a figure with what is to be seen in it, or a note that says why there is none."""
        try:
            files = figure()
            self.figures.append(Drawn(words.title, finding(), words.caption, files))
        except InputError as error:
            self.notes.append(f"{LEFT_OUT}: {words.title} ({error})")


def draw_all(runs: Sequence[Path], comparison: Comparison | None, out: Path) -> Gallery:
    """Draws every figure that the runs have the tables for, into the folder `out`.

    Args:
        runs: run folders.
        comparison: of those with predictions; None where there are none.
        out: folder.
    """
    gallery = Gallery()
    trained = [run for run in runs if (run / METRICS).exists()]
    gallery.draw(
        CURVES,
        lambda: training_curves(trained, out / "curves"),
        lambda: findings.curves(training_records(trained)),
    )
    if comparison is not None:
        average, per_au = partial(findings.average, comparison), partial(findings.per_au, comparison)
        gallery.draw(AVERAGE_F1, lambda: average_figure(comparison, out / "f1_average"), average)
        gallery.draw(F1_PER_AU, lambda: per_au_figure(comparison, out / "f1_per_au"), per_au)
        if len(comparison.methods) > 1:
            words = GAINS.about(reference=method_title(comparison.reference))
            gallery.draw(
                words, lambda: gains_figure(comparison, out / "gains_per_au"), partial(findings.gains, comparison)
            )
    for method, weights in read_method_weights(runs).items():
        _draw_weights(gallery, weights, out, method)
    return gallery


def compare_scored(runs: Sequence[Path], reference: str | None = None) -> Comparison | None:
    """Compares the runs that have predictions, with STL where no other reference is named; None where there are none.

    Raises:
        InputError: as `compare` does.
    """
    scored = [run for run in runs if (run / PREDICTIONS_FILE).exists()]
    if not scored:
        return None
    stl = any(read_run_name(run).method == "stl" for run in scored)
    return compare(scored, reference=reference or ("stl" if stl else None))


def _draw_weights(gallery: Gallery, weights: MethodWeights, out: Path, method: str) -> None:
    runs = weights.by_run.shape[1]
    of = "one run" if runs == 1 else f"each image's mean over {runs} runs"
    title, name = method_title(method), _file_name(method)
    gallery.notes.extend(f"{title}: {note}" for note in weights.notes)
    faces = weights.stream("auxiliary")["weight"]
    if len(faces) and faces.std() < ALIKE * faces.mean():
        gallery.notes.append(
            f"{title}: the weights of the FE images hardly differ (sd {faces.std():.2g} about {faces.mean():.2g}), so "
            "that their order says little"
        )
    figures: list[tuple[Words, Draw, Find, str]] = [
        (RANKED, ranked_faces, findings.ranked, "faces_ranked"),
        (EXTREME, extreme_faces, findings.extreme, "faces_extreme"),
        (CONSISTENCY, consistency_figure, findings.consistency, "weights_consistency"),
        (CAUSE, cause_figure, findings.cause, "weights_cause"),
    ]
    if weights.images[ACTIVE].notna().any():
        figures.insert(3, (ACTIVE_AUS, active_figure, findings.active, "weights_active"))
    if weights.stream("auxiliary")["dataset"].nunique() > 1:
        figures.append((BY_DATASET, dataset_figure, findings.dataset, "weights_dataset"))
    for words, figure, finding, file in figures:
        draw = partial(figure, weights, out / f"{file}_{name}")
        gallery.draw(words.about(method=title, of=of), draw, partial(finding, weights))


def _file_name(method: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in method)
