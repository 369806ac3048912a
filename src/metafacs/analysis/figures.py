"""Every figure that a set of runs has the tables for, with the words that go below it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metafacs.analysis.curves import MOST, training_curves
from metafacs.analysis.faces import extreme_faces, ranked_faces
from metafacs.analysis.records import read_run_name
from metafacs.analysis.sample_weights import ACTIVE, MethodWeights, read_method_weights
from metafacs.analysis.scores import MOST as MOST_METHODS
from metafacs.analysis.scores import average_figure, gains_figure, per_au_figure
from metafacs.analysis.weights import active_figure, cause_figure, consistency_figure
from metafacs.errors import InputError
from metafacs.evaluation.comparison import Comparison, compare, method_title
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.runs import METRICS

LEFT_OUT = "left out"
"""How the note on a figure that could not be drawn begins."""
ALIKE = 0.02
"""Weights with a smaller standard deviation, as a share of their mean, are as good as equal."""


@dataclass(frozen=True)
class Drawn:
    """One figure: its files (PNG, PDF), a title of a few words, and what a reader has to know."""

    title: str
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

    def draw(self, title: str, caption: str, make: Callable[[], list[Path]]) -> None:
        """Adds a figure, or a note that says why there is none."""
        try:
            self.figures.append(Drawn(title, caption, make()))
        except InputError as error:
            self.notes.append(f"{LEFT_OUT}: {title} ({error})")


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
        "Losses and weights over training",
        "The paper's Fig. 3 and 4: losses of the AU and the FE task, and the average weight of the images of each for "
        f"methods that learn weights; of more than {MOST} methods MAL, MTL and STL first. Bold: moving average, over "
        "several runs their mean; faint: single values, or the moving averages of single runs.",
        lambda: training_curves(trained, out / "curves"),
    )
    if comparison is not None:
        _draw_scores(gallery, comparison, out)
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


def _draw_scores(gallery: Gallery, comparison: Comparison, out: Path) -> None:
    gallery.draw(
        "Average F1",
        "Black: mean over the seeds of the average over AUs and folds, with the standard deviation over the seeds. "
        "Blue: single folds and seeds.",
        lambda: average_figure(comparison, out / "f1_average"),
    )
    gallery.draw(
        "F1 per AU",
        "Mean and standard deviation over the seeds. Grey: what a predictor scores that finds every AU in every image. "
        f"Of more than {MOST_METHODS} methods the reference, MTL, MAL and the best others.",
        lambda: per_au_figure(comparison, out / "f1_per_au"),
    )
    if len(comparison.methods) > 1:
        reference = method_title(comparison.reference)
        gallery.draw(
            f"Gain over {reference} per AU",
            "Differences paired by fold and seed, with the 95 % t interval of their mean. Filled: the interval leaves "
            "out zero. One interval in twenty does so by chance, and intervals of few pairs may leave the panel.",
            lambda: gains_figure(comparison, out / "gains_per_au"),
        )


def _draw_weights(gallery: Gallery, weights: MethodWeights, out: Path, method: str) -> None:
    title, name = method_title(method), _file_name(method)
    runs = weights.by_run.shape[1]
    of = "one run" if runs == 1 else f"each image's mean over {runs} runs"
    gallery.notes.extend(f"{title}: {note}" for note in weights.notes)
    faces = weights.stream("auxiliary")["weight"]
    if len(faces) and faces.std() < ALIKE * faces.mean():
        gallery.notes.append(
            f"{title}: the weights of the FE images hardly differ (sd {faces.std():.2g} about {faces.mean():.2g}), so "
            "that their order says little"
        )
    gallery.draw(
        f"Faces by learned weight, {title}",
        f"The paper's Fig. 5: FE images of every expression at equally spaced ranks of their weight ({of}).",
        lambda: ranked_faces(weights, out / f"faces_ranked_{name}"),
    )
    gallery.draw(
        f"Highest and lowest weights, {title}",
        f"The paper's Fig. 6: FE images with the highest and the lowest weights ({of}), with the share of annotators "
        "who chose the label, and the label.",
        lambda: extreme_faces(weights, out / f"faces_extreme_{name}"),
    )
    interval = "Spearman's correlation is that within a run, averaged over the runs; its 95 % interval is a bootstrap "
    interval += "over people and does not cover what another training would give."
    gallery.draw(
        f"Weight and consistency, {title}",
        f"Every FE image ({of}), and the mean of each tenth of consistency. {interval}",
        lambda: consistency_figure(weights, out / f"weights_consistency_{name}"),
    )
    if weights.images[ACTIVE].notna().any():
        gallery.draw(
            f"Weight and active AUs, {title}",
            "Mean weight and its 95 % interval by how many of the trained AUs are active in the image: by rendered "
            f"truth, which training never reads, or by label. {interval}",
            lambda: active_figure(weights, out / f"weights_active_{name}"),
        )
    gallery.draw(
        f"Weight by cause of ambiguity, {title}",
        f"Weights of the FE images ({of}) by what makes their expression ambiguous, the most trusted cause first.",
        lambda: cause_figure(weights, out / f"weights_cause_{name}"),
    )


def _file_name(method: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in method)
