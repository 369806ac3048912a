"""What MAL is worth where there is something to win.

    python studies/claims/worth.py --ferplus FOLDER [--small] [--device cuda] [--regimes scale,skin] [--methods SCREEN]

AU labels of a few rendered people; expression data that may harm them. A *regime* is such a choice (`REGIMES`). First
the *screen*, in which MAL has no part (`--methods SCREEN`): there is something to win in a regime if perfect weights
(`oracle`: MTL in which the images known to be bad weigh nothing) or the best task weight (`tuned`: MTL with the one of
`TASK_WEIGHTS` whose F1 is highest on the reserved images of the training people) gain 3 points of F1 over MTL, with an
interval that leaves out zero. Then, in those, all `methods`.

MAL's gain is taken apart. `replayed` is MTL with the two tasks' mean weights that the MAL run of the same fold and seed
had, step by step: the balance alone. `permuted` is MAL whose weights are dealt out at random within the task. So
replayed - MTL is what balance is worth, and MAL - replayed what it is worth to tell images apart. `task` is MAL that
learns one weight a task and nothing of images; `mal_paper` is the paper's form; `balanced` is MTL whose AU loss is
class-balanced as MAL's meta loss is, and so are `stl_balanced` and `mal_balanced`; `uncertainty` and `l2rw` are rivals,
one that weighs tasks and one that weighs images. `mal_told` sees the label and the loss of an image beside its feature,
which says nothing of whether its label is wrong. `mal_B` and `mal_4B` look at half and at twice as many reserved images
as MAL does.

Expected, written before the runs but after a screen of MTL on fold P1 (mixed: 53.8 at best, 51.3 evenly; scale: 51.3
and 43.5; an expression weight of 0.9 was hopeless in both): in `scale` MAL comes within a point of the tuned MTL, and
all of that is balance. In both it gives real faces less weight than rendered ones, and gains at most a point by it.
Expected of the other regimes, before any run of them: in `light` MTL is already within a point of the tuned one, and so
is MAL. Few people learn from expressions, so that `few_wrong` and `few_mixed` have something to win by the oracle, 3 to
5 points; in `skin` 1 to 3; `rare` has nothing. Where the oracle wins, MAL gets less than half of it: what
tells bad images apart is hardly in a single step's gradient (`signal_to_noise.py`), but wrong labels that are known by
heart have a large loss, which the feature does not show.

Runs that are done are not done again; what is written is what is done (with `--runs`: of these folders). Writes
`worth.csv` (a row per regime, fold, seed and method), `worth_gains.csv` (paired differences with 95 % intervals), a
picture of it, and `worth_weights.csv` (of good and bad expression images, by expression: mean weight and its rank
correlation with the annotators' consistency).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import common
import numpy as np
import pandas as pd
from average_f1 import fewer_people
from matplotlib.figure import Figure

from metafacs.analysis.records import find_runs, read_metrics
from metafacs.analysis.sample_weights import read_method_weights
from metafacs.analysis.statistics import spearman
from metafacs.analysis.style import COLUMN, GREY, METHOD_COLOURS, save, style
from metafacs.api import Run
from metafacs.config import TrainConfig
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.comparison import AVERAGE
from metafacs.evaluation.intervals import mean_interval
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.experiments.launching import start_process
from metafacs.pool import cores
from metafacs.runs import SAMPLE_WEIGHTS

TASK_WEIGHTS = (0.02, 0.1, 0.3, 0.5, 0.8)
"""Of the expression task; "mtl" is the one of 0.5."""
SCREEN = "stl,mtl,mtl_0.02,mtl_0.1,mtl_0.3,mtl_0.8,oracle"
FERPLUS_IMAGES = 6000
OTHER_WORLD = "ferplus"
"""What the dataset of real faces is called."""
WRONG = "wrong label"
"""Cause of ambiguity of images whose label is of another expression."""
PAIRS = (
    *(("mtl", "stl"), ("oracle", "mtl"), ("tuned", "mtl"), ("mal", "stl"), ("mal", "mtl"), ("mal", "tuned")),
    *(("mal_paper", "mtl"), ("mal", "mal_paper"), ("balanced", "mtl"), ("mal", "balanced")),
    *(("replayed", "mtl"), ("mal", "replayed"), ("mal", "permuted"), ("task", "mtl"), ("mal", "task")),
    *(("mal", "uncertainty"), ("mal", "l2rw"), ("mal_B", "mal"), ("mal_4B", "mal"), ("mal", "oracle")),
    *(("mal_told", "mtl"), ("mal_told", "mal"), ("mal_balanced", "balanced"), ("balanced", "stl_balanced")),
)
SHOWN = {
    **{"stl": "STL", "oracle": "oracle", "tuned": "MTL, tuned", "balanced": "MTL, class-balanced"},
    **{"mal_paper": "MAL, paper's form", "mal": "MAL", "permuted": "MAL, permuted"},
    **{"replayed": "MTL replaying MAL", "task": "one weight a task"},
}
"""Methods of the picture, and what they are called there."""


def rendered_and_real(study: common.Study, ferplus: Path) -> list[Path]:
    """The usual rendered faces and twice as many real ones, which are another world."""
    whole = PreparedDataset.open(ferplus)
    rows = np.sort(np.random.default_rng(0).permutation(len(whole.table))[:FERPLUS_IMAGES])
    settings = {"of": whole.card.faces_sha256}
    return [study.fe_data(), common.part_of(whole, rows, study.out / "data" / f"{OTHER_WORLD}_{len(rows)}", settings)]


def wrong_labels(study: common.Study, _: Path) -> list[Path]:
    """A third as many rendered faces, three of four with a wrong label: soon known by heart."""
    fewer = replace(study, scale=replace(study.scale, images=max(40, study.scale.images // 3)))
    return [fewer.fe_data("wrong75", {WRONG: 0.75})]


def labels_of_skin(study: common.Study, _: Path) -> list[Path]:
    """The usual rendered faces; in two of three the label goes with the tone of the skin and not with the face."""
    whole = PreparedDataset.open(study.fe_data())
    names = whole.card.expressions
    inner = np.linspace(0, 1, len(names) + 1)[1:-1]
    edges = np.quantile(whole.column("true_tone").astype(np.float64), inner)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if int(row["subject"].rpartition("_")[2]) % 3 == 0:
            return row
        return {**row, "expression": names[int(np.searchsorted(edges, row["true_tone"]))], "cause": WRONG}

    rows = np.arange(len(whole.table))
    settings = {"of": whole.card.faces_sha256, "labels": "tone of the skin, in two of three"}
    return [common.part_of(whole, rows, whole.folder.with_name(f"{whole.folder.name}_skin"), settings, change)]


def rare_aus(study: common.Study) -> Path:
    """The AU data with an AU present from intensity D on: 5 to 18 % of the images instead of 15 to 59 %."""
    whole = PreparedDataset.open(study.au_data())

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **{au: int(row[f"{au}_intensity"] >= 4) for au in whole.card.aus}}

    rows, settings = np.arange(len(whole.table)), {"of": whole.card.faces_sha256, "from": 4}
    return common.part_of(whole, rows, whole.folder.with_name(f"{whole.folder.name}_rare"), settings, change)


@dataclass(frozen=True)
class Regime:
    """What data, and how the two losses are scaled.

    Attributes:
        expressions: makes the expression data.
        truth: column that tells bad expression images.
        bad: what it says of them.
        people: with AU labels in training.
        losses: options of every method.
        au: makes the AU data.
    """

    expressions: Callable[[common.Study, Path], list[Path]]
    truth: str
    bad: str
    people: int = 10
    losses: dict[str, Any] = field(default_factory=lambda: {"au_reduction": "sum"})
    au: Callable[[common.Study], Path] = common.Study.au_data


_WORLDS = (rendered_and_real, "dataset", OTHER_WORLD)
REGIMES = {
    "mixed": Regime(*_WORLDS),
    "scale": Regime(*_WORLDS, losses={"au_reduction": "mean"}),
    "light": Regime(*_WORLDS, losses={"au_reduction": "sum", "expression_scale": 0.1}),
    "few_mixed": Regime(*_WORLDS, people=4),
    "few_wrong": Regime(wrong_labels, "cause", WRONG, people=4),
    "skin": Regime(labels_of_skin, "cause", WRONG),
    "rare": Regime(*_WORLDS, au=rare_aus),
}
"""With "scale" expressions have twelve times the say that they have in "mixed", with "light" a tenth of it."""


def methods(regime: Regime, meta: int) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name -> method, its options, settings of the data; `meta` is the usual number of reserved images in a batch."""
    paper = {"alpha": 0.1, "fixed_length": False, "inputs": "feature"}
    return {
        "stl": ("stl", {}, {}),
        **{_mtl(weight): ("mtl", {"auxiliary_weight": weight}, {}) for weight in TASK_WEIGHTS},
        "balanced": ("mtl", {"balanced": True}, {}),
        "stl_balanced": ("mtl", {"auxiliary_weight": 0.0, "statistics": "separate", "balanced": True}, {}),
        "mal_balanced": ("mal", {"balanced": True}, {}),
        "oracle": ("mtl", {"truth": regime.truth, "bad": regime.bad}, {}),
        "mal": ("mal", {}, {}),
        "mal_paper": ("mal", paper, {}),
        "mal_told": ("mal", {"inputs": "feature+label+loss"}, {}),
        "permuted": ("mal", {"permuted": True}, {}),
        "task": ("mal", {"weights": "task"}, {}),
        "replayed": ("mtl", {}, {}),
        "uncertainty": ("uncertainty", {}, {}),
        "l2rw": ("l2rw", {}, {}),
        "mal_B": ("mal", {}, {"batch_meta": meta // 2}),
        "mal_4B": ("mal", {}, {"batch_meta": meta * 2}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    used = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--ferplus", type=Path)
    parser.add_argument("--regimes", default=",".join(REGIMES))
    given, others = parser.parse_known_args(used)
    study = common.read_study("worth", __doc__ or "", "", others, steps=600, seeds="0,1,2")
    study = replace(study, arguments=used)
    if study.finished:
        write(study, find_runs(study.finished)[0])
        return
    if given.ferplus is None:
        parser.error("--ferplus FOLDER is missing: name FERPlus as `metafacs prepare ferplus` made it")
    halved = {name: value // 2 for name, value in study.scale.settings.items() if name.startswith("data.batch_")}
    scale = replace(study.scale, settings={**study.scale.settings, **halved})
    study = replace(study, start=study.weights, scale=scale)
    names = given.regimes.split(",")
    if unknown := sorted(set(names) - set(REGIMES)):
        parser.error(f"--regimes {', '.join(unknown)}: there are {', '.join(REGIMES)}")
    jobs = [
        Job(config, study.scale.steps, f"{name} {config.out.name}")
        for name in names
        for config in cells_of(study, name, given.ferplus)
    ]
    failures = []
    try:
        for batch in batches(jobs):
            failures += run_jobs(batch, scale.at_once or cores(), common.console, start_process, keep_going=True)
    finally:
        if done := [job.run for job in jobs if job.done]:
            write(study, done)
    if failures:
        sys.exit(f"{len(failures)} of {len(jobs)} runs failed")


def cells_of(study: common.Study, name: str, ferplus: Path) -> list[TrainConfig]:
    """The runs of a regime."""
    regime, s = REGIMES[name], study.scale
    tree: dict[str, dict[str, Any]] = {"loop": {}, "data": {}}
    for setting, value in {**s.settings, "network.weights": study.start}.items():
        part, _, entry = setting.partition(".")
        tree.setdefault(part, {})[entry] = value
    tree["loop"]["steps"] = s.steps
    au = PreparedDataset.open(regime.au(study))
    people = min(regime.people, s.subjects // 3)
    parts = {fold: str(fewer_people(au, fold, people).resolve()) for fold in study.folds}
    expressions = [str(folder.resolve()) for folder in regime.expressions(study, ferplus)]
    wanted = None if study.methods == "" else (SCREEN if study.methods == "SCREEN" else study.methods).split(",")
    cells = []
    for seed in s.seeds.split(","):
        for fold, part in parts.items():
            for cell, (method, options, data) in methods(regime, tree["data"]["batch_meta"]).items():
                if wanted is None or cell in wanted:
                    out = study.out / study.name / name / f"{cell}_{fold}_seed{seed}"
                    replayed = out.with_name(f"mal_{fold}_seed{seed}").resolve()
                    chosen = {**regime.losses, **options, **({"replay": str(replayed)} if cell == "replayed" else {})}
                    where = {"primary": part, "auxiliary": expressions, "test_fold": fold}
                    run = {"method": method, "label": cell, "seed": int(seed), method: chosen}
                    cells.append(TrainConfig.read({**tree, **run, "data": {**tree["data"], **where, **data}}, out))
    return cells


def batches(jobs: Sequence[Job]) -> list[list[Job]]:
    """A batch a seed; what replays a run comes with the batch after it."""
    seeds = sorted({job.config.seed for job in jobs})
    waits = {seed: [j for j in jobs if j.config.seed == seed and j.config.label == "replayed"] for seed in seeds}
    first = {seed: [j for j in jobs if j.config.seed == seed and j.config.label != "replayed"] for seed in seeds}
    return [a + b for a, b in zip([*first.values(), []], [[], *waits.values()], strict=True)]


def write(study: common.Study, runs: Sequence[Path]) -> None:
    """The result files, of the runs that are done."""
    table = with_tuned(pd.DataFrame([scores(run) for run in runs]))
    study.write(table)
    if weights := [part for run in runs if (run / SAMPLE_WEIGHTS).exists() for part in source_weights(run)]:
        study.write(pd.concat(weights, ignore_index=True), "weights")
    study.write(gains(table), "gains")
    picture(table, study.out / study.name / "worth")


def picture(table: pd.DataFrame, out: Path) -> None:
    """Draws what each method gains over MTL, with its 95 % interval over pairs; a panel a regime with MTL and MAL."""
    regimes = table.groupby("regime", sort=False)
    panels = {name: part for name, part in regimes if {"mal", "mtl"} <= set(part["method"])}
    if not panels:
        return
    with style():
        figure = Figure(figsize=(COLUMN, 0.6 + 1.9 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (name, part) in zip(axes, panels.items(), strict=True):
            wide = part.pivot_table(index=["fold", "seed"], columns="method", values="f1")
            shown = [method for method in SHOWN if method in wide]
            gained = [(wide[method] - wide["mtl"]).dropna().to_numpy() for method in shown]
            for place, (method, gain) in enumerate(zip(shown, gained, strict=True)):
                colour = METHOD_COLOURS[1] if method == "mal" else METHOD_COLOURS[0]
                axis.plot(mean_interval(gain), [place, place], color=colour)
                axis.plot(gain.mean(), place, "o", color=colour, markersize=4)
            axis.axvline(0, color=GREY, linewidth=0.8)
            axis.set_yticks(range(len(shown)), [SHOWN[method] for method in shown])
            axis.set_ylim(len(shown) - 0.5, -0.5)
            axis.set_title(f"{name!s}: {max(map(len, gained))} pairs, MTL {wide['mtl'].mean():.1f}", loc="left")
        axes[-1].set_xlabel("F1 × 100 more than MTL")
        save(figure, out)


def named(run: Path) -> dict[str, str]:
    """What a row is known by."""
    method, fold, seed = run.name.rsplit("_", 2)
    return {"regime": run.parent.name, "fold": fold, "seed": seed.removeprefix("seed"), "method": method}


def scores(run: Path) -> dict[str, Any]:
    """F1 and AUC x 100 of a run, on the test fold and on the reserve, and F1 x 100 of each AU."""
    result, metrics = Run(run).evaluate(), read_metrics(run)
    trained = metrics[metrics["event"] == "train"].iloc[-1]
    reserve = metrics.loc[metrics["event"] == "validation", "average_f1"].iloc[-1]
    by_au: dict[str, Any] = {str(au): 100 * f1 for au, f1 in result["f1"].items()}
    row = {"f1": by_au.pop(AVERAGE), "auc": 100 * result["auc"][AVERAGE], "reserve_f1": 100 * reserve}
    return {**named(run), **row, "fe_weight": trained.get("weight_auxiliary"), "chosen": "", **by_au}


def with_tuned(table: pd.DataFrame) -> pd.DataFrame:
    """With a row for the MTL that is best on the reserve, wherever all task weights are done."""
    tried = table[table["method"].isin([_mtl(weight) for weight in TASK_WEIGHTS])]
    found = [
        part.nlargest(1, "reserve_f1").assign(chosen=lambda row: row["method"], method="tuned")
        for _, part in tried.groupby(["regime", "fold", "seed"], sort=False)
        if len(part) == len(TASK_WEIGHTS)
    ]
    return pd.concat([table, *found], ignore_index=True)


def source_weights(run: Path) -> list[pd.DataFrame]:
    """Of good and bad expression images: mean weight, its Spearman correlation with consistency."""
    regime = REGIMES[run.parent.name]
    (weights,) = read_method_weights([run]).values()
    faces = weights.stream("auxiliary")
    faces["images"] = np.where(faces[regime.truth].astype(str) == regime.bad, "bad", "good")
    tables = []
    for (images, expression), group in [
        *faces.groupby(["images", "expression"], observed=True),
        *(((images, "all"), group) for images, group in faces.groupby("images")),
    ]:
        weight, consistency = (group[name].to_numpy(dtype=np.float64) for name in ("weight", "consistency"))
        row = {"images": images, "expression": expression, "count": len(group), "weight": weight.mean()}
        tables.append(pd.DataFrame([{**named(run), **row, "spearman": spearman(weight, consistency)}]))
    return tables


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of F1 and AUC x 100 of the runs of a fold and seed, with 95 % intervals over pairs."""
    rows = []
    for regime, part in table.groupby("regime", sort=False):
        for score in ("f1", "auc"):
            wide = part.pivot_table(index=["fold", "seed"], columns="method", values=score)
            for better, worse in PAIRS:
                if {better, worse} <= set(wide):
                    pairs = (wide[better] - wide[worse]).dropna()
                    low, high = mean_interval(pairs.to_numpy())
                    gain = {"mean": pairs.mean(), "low": low, "high": high, "pairs": len(pairs)}
                    verdict = common.verdict(gain)
                    rows.append(
                        {"regime": regime, "score": score, "gain": f"{better} - {worse}", **gain, "verdict": verdict}
                    )
    return pd.DataFrame(rows)


def _mtl(weight: float) -> str:
    return "mtl" if weight == 0.5 else f"mtl_{weight}"


if __name__ == "__main__":
    main()
