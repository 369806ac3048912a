"""What MAL is worth where there is something to win.

    python studies/claims/worth.py --ferplus FOLDER [--small] [--device cuda] [--regimes scale,mixed]

AU labels of ten rendered people; expression data of 3,000 rendered faces and twice as many real ones (FERPlus, prepared
in FOLDER), which are another world. Two *regimes*: the AU loss is the sum over the AUs (`mixed`), or their mean, so
that expressions have twelve times the say (`scale`). There is something to win if perfect weights (`oracle`: MTL in
which the real faces weigh nothing) or the best task weight (`tuned`: MTL with the one of `TASK_WEIGHTS` whose F1 is
highest on the reserved images of the training people) gain 3 points of F1 over MTL.

MAL's gain is taken apart. `replayed` is MTL with the two tasks' mean weights that the MAL run of the same fold and seed
had, step by step: the balance alone. `permuted` is MAL whose weights are dealt out at random within the task. So
replayed - MTL is what balance is worth, and MAL - replayed what it is worth to tell images apart. `task` is MAL that
learns one weight a task and nothing of images; `mal_paper` is the paper's form.

Expected, written before the runs but after a screen of MTL on fold P1 (mixed: 53.8 at best, 51.3 evenly; scale: 51.3
and 43.5; an expression weight of 0.9 was hopeless in both): in `scale` MAL comes within a point of the tuned MTL, and
all of that is balance. In both it gives real faces less weight than rendered ones, and gains at most a point by it.

Writes `worth.csv` (a row per regime, fold, seed and method), `worth_gains.csv` (paired differences with 95 % intervals)
and `worth_weights.csv` (of rendered and real expression images, by
expression: mean weight and its rank correlation with the consistency of the annotators).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import common
import numpy as np
import pandas as pd
from average_f1 import fewer_people

from metafacs.analysis.records import read_metrics, read_run_name
from metafacs.analysis.sample_weights import read_method_weights
from metafacs.analysis.statistics import spearman
from metafacs.api import Run
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE
from metafacs.evaluation.intervals import mean_interval

PEOPLE = 10
"""With AU labels in training."""
TASK_WEIGHTS = (0.02, 0.1, 0.5)
"""Of the expression task."""
FERPLUS_IMAGES = 6000
OTHER_WORLD = "ferplus"
"""What the dataset of real faces is called."""
PAIRS = (
    *(("mtl", "stl"), ("oracle", "mtl"), ("tuned", "mtl"), ("mal", "stl"), ("mal", "mtl"), ("mal", "tuned")),
    *(("mal_paper", "mtl"), ("mal", "mal_paper")),
    *(("replayed", "mtl"), ("mal", "replayed"), ("mal", "permuted"), ("task", "mtl"), ("mal", "task")),
)


REGIMES = {"mixed": "sum", "scale": "mean"}
"""Regime -> `au_reduction`: with "mean" the AU loss has a twelfth of the say that "sum" gives it."""


def methods(au_reduction: str) -> dict[str, str]:
    """Name -> method and options."""
    loss = f"au_reduction={au_reduction}"
    return {
        "stl": f"stl:{loss}",
        "mtl": f"mtl:{loss}",
        **{f"mtl_{w}": f"mtl:{loss};auxiliary_weight={w}" for w in TASK_WEIGHTS if w != 0.5},
        "oracle": f"mtl:{loss};truth=dataset;bad={OTHER_WORLD}",
        "mal": f"mal:{loss}",
        "mal_paper": f"mal:{loss};alpha=0.1;fixed_length=false;inputs=feature",
        "permuted": f"mal:{loss};permuted=true",
        "task": f"mal:{loss};weights=task",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    used = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument("--regimes", default=",".join(REGIMES))
    given, others = parser.parse_known_args(used)
    study = common.read_study("worth", __doc__ or "", "", others, steps=600, seeds="0,1,2", at_once=1)
    halved = {name: value // 2 for name, value in study.scale.settings.items() if name.startswith("data.batch_")}
    scale = replace(study.scale, settings={**study.scale.settings, **halved})
    study = replace(study, arguments=used, start=study.weights, scale=scale)
    names = given.regimes.split(",")
    if unknown := sorted(set(names) - set(REGIMES)):
        raise InputError(f"--regimes {', '.join(unknown)}: there are {', '.join(REGIMES)}")
    expressions = [study.fe_data(), real_faces(study, given.ferplus)]
    au = PreparedDataset.open(study.au_data())
    cells: list[pd.DataFrame] = []
    weights: list[pd.DataFrame] = []
    for name in names:
        for seed in study.scale.seeds.split(","):
            for fold in study.folds:
                people = fewer_people(au, fold, min(PEOPLE, study.scale.subjects // 3))
                one = replace(study, scale=replace(study.scale, seeds=seed))
                grid, spelled = f"{name}_{fold}_{seed}", methods(REGIMES[name])
                chosen = {m: spelled[m] for m in study.methods.split(",")} if study.methods else spelled
                runs = one.train(grid, people, expressions, _listed(chosen), fold)
                if mal := [run for run in runs if read_run_name(run).method == "mal"]:
                    replayed = {"replayed": f"mtl:au_reduction={REGIMES[name]};replay={mal[0].resolve()}"}
                    runs += one.train(f"{grid}_replayed", people, expressions, _listed(replayed), fold)
                cells.append(scores(runs).assign(regime=name, fold=fold, seed=seed))
                weights += [w.assign(regime=name, fold=fold, seed=seed) for w in source_weights(runs)]
    table = pd.concat(cells, ignore_index=True)
    study.write(table[["regime", "fold", "seed", "method", "f1", "auc", "reserve_f1", "fe_weight", "chosen"]])
    study.write(pd.concat(weights, ignore_index=True), "weights")
    study.write(gains(table), "gains")


def real_faces(study: common.Study, ferplus: Path) -> Path:
    """Some of FERPlus's faces, drawn at random."""
    whole = PreparedDataset.open(ferplus)
    rows = np.sort(np.random.default_rng(0).permutation(len(whole.table))[:FERPLUS_IMAGES])
    return common.part_of(whole, rows, study.out / "data" / f"ferplus_{len(rows)}", {"of": whole.card.faces_sha256})


def scores(runs: Sequence[Path]) -> pd.DataFrame:
    """F1 and AUC x 100 of each run of one fold and seed, and of `tuned`: the MTL that is best on the reserve."""
    rows = []
    for run in runs:
        result, metrics = Run(run).evaluate(), read_metrics(run)
        trained = metrics[metrics["event"] == "train"].iloc[-1]
        reserve = metrics.loc[metrics["event"] == "validation", "average_f1"].iloc[-1]
        row = {
            "method": read_run_name(run).method,
            "f1": 100 * result["f1"][AVERAGE],
            "auc": 100 * result["auc"][AVERAGE],
        }
        rows.append({**row, "reserve_f1": 100 * reserve, "fe_weight": trained.get("weight_auxiliary"), "chosen": ""})
    table = pd.DataFrame(rows)
    tried = table[table["method"].isin([f"mtl_{w}" for w in TASK_WEIGHTS] + ["mtl"])]
    if len(tried) < len(TASK_WEIGHTS):
        return table
    best = tried.nlargest(1, "reserve_f1").assign(chosen=lambda row: row["method"], method="tuned")
    return pd.concat([table, best], ignore_index=True)


def source_weights(runs: Sequence[Path]) -> list[pd.DataFrame]:
    """Of rendered and real expression images: mean weight, its Spearman correlation with consistency."""
    tables = []
    for method, weights in read_method_weights(runs).items():
        faces = weights.stream("auxiliary")
        faces["images"] = np.where(faces["dataset"].astype(str) == OTHER_WORLD, "real", "rendered")
        for (images, expression), group in [
            *faces.groupby(["images", "expression"], observed=True),
            *(((images, "all"), group) for images, group in faces.groupby("images")),
        ]:
            weight, consistency = (group[name].to_numpy(dtype=np.float64) for name in ("weight", "consistency"))
            row = {"images": images, "expression": expression, "count": len(group), "weight": weight.mean()}
            tables.append(pd.DataFrame([{"method": method, **row, "spearman": spearman(weight, consistency)}]))
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


def _listed(chosen: dict[str, str]) -> str:
    return ",".join(f"{name}={method}" for name, method in chosen.items())


if __name__ == "__main__":
    main()
