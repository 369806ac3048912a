"""Several runs side by side: means over folds and seeds, and differences paired by fold and seed.

The cell of the comparison is one run: one method, tested on one fold, trained from one seed. As in the paper, scores
are averaged over the folds of a seed first; the mean and the standard deviation over the seeds follow from those
(protocol "folds"). The alternative, "pooled", puts the test images of all folds of a seed together and takes F1 and
accuracy once; the two differ most for AUs that are rare in one of the folds. Published tables use either and seldom
say which.

Differences between two methods are taken cell by cell, so that what makes a fold hard or a seed lucky cancels out.
Folds share training subjects, hence the intervals are somewhat too narrow; read them as the least that is uncertain.
"""

import hashlib
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from metafacs.errors import InputError
from metafacs.evaluation.intervals import mean_interval
from metafacs.evaluation.metrics import au_scores, best_threshold_scores, f1_from_counts, undefined_scores
from metafacs.evaluation.predictions import ROW_KEYS, Predictions, probability_column, read_predictions
from metafacs.facs import au_title

Protocol = Literal["folds", "pooled"]
AVERAGE = "average"
CELL = ["method", "fold", "seed"]
METHOD_TITLES = {
    "stl": "STL", "mtl": "MTL", "mal": "MAL", "mtan": "MTAN", "l2t-ww": "L2T-WW", "drml": "DRML", "eac-net": "EAC-Net",
    "roi": "ROI", "jaa-net": "JAA-Net", "ofs-cnn": "OFS-CNN", "dsin": "DSIN", "lp-net": "LP-Net", "tae": "TAE",
    "gbn": "gBN", "srerl": "SRERL", "l2t_ww": "L2T-WW", "cross_stitch": "Cross-stitch", "maxl": "MAXL", "dwa": "DWA",
    "uncertainty": "Uncertainty", "gradnorm": "GradNorm", "pcgrad": "PCGrad", "loss_balanced": "LBTW", "l2rw": "L2RW",
    "meta_weight_net": "MW-Net", "eac_net": "EAC-Net", "jaa_net": "JAA-Net", "tcae": "TCAE", "lp_net": "LP-Net",
    "density_ratio": "Density ratio",
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The scores of several methods on the same test images.

    Attributes:
        cells: one row per method, fold, seed and AU, with the columns of `au_scores` and of `best_threshold_scores`,
            and `complete`: whether the method has this seed on every fold. Scores in [0, 1].
        methods: in the order of the tables; the first is the one that the others are compared with.
        aus: the AU columns.
        dataset: what all runs were tested on.
        folds: the test parts that every method was tested on.
        protocol: "folds" or "pooled".
        thresholds: those at which an AU counts as predicted, over all runs.
        warnings: what a reader of the tables has to know; one sentence each.
        subject_exclusive: whether nothing says that people of the test folds may have trained.
    """

    cells: pd.DataFrame
    methods: list[str]
    aus: list[str]
    dataset: str
    folds: list[str]
    protocol: Protocol
    thresholds: list[float]
    warnings: list[str] = field(default_factory=list)
    subject_exclusive: bool = True

    @property
    def title(self) -> str:
        """What was scored, on what; and whether test people may have trained."""
        mark = "" if self.subject_exclusive else " (NOT SUBJECT-EXCLUSIVE)"
        return f"F1 × 100 on {self.dataset}{mark}"

    @property
    def reference(self) -> str:
        """The method that the others are compared with."""
        return self.methods[0]

    def by_cell(self, metric: str = "f1") -> pd.DataFrame:
        """One row per (method, fold, seed), one column per AU, and their `average` over the AUs where defined."""
        return _with_average(self.cells.pivot(index=CELL, columns="au", values=metric)[self.aus])

    def by_seed(self, metric: str = "f1") -> pd.DataFrame:
        """One row per (method, seed) that has every fold; the folds averaged, or pooled where the protocol says so.

        AUC is averaged over the folds under either protocol: probabilities of different networks do not rank together.
        Metrics that an AU lacks in one fold are averaged over the other folds.
        """
        cells = self.cells[self.cells["complete"]]
        if self.protocol == "pooled" and metric in ("f1", "f1_all_positive", "accuracy"):
            return _with_average(_pooled(cells, metric).unstack("au")[self.aus])
        complete = cells.pivot(index=CELL, columns="au", values=metric)[self.aus]
        return _with_average(complete).groupby(["method", "seed"]).mean()

    def means(self, metric: str = "f1") -> pd.DataFrame:
        """Mean over the seeds: one row per method, one column per AU and `average`."""
        return self.by_seed(metric).groupby("method").mean().loc[self.methods]

    def deviations(self, metric: str = "f1", over: Literal["seeds", "cells"] = "seeds") -> pd.DataFrame:
        """Sample standard deviation over the seeds, or over all (fold, seed) cells; NaN where there is only one."""
        table = self.by_seed(metric) if over == "seeds" else self.by_cell(metric)
        return table.groupby("method").std(ddof=1).loc[self.methods]

    def counts(self) -> pd.DataFrame:
        """Per method: `seeds` with every fold (those in the means) and `cells`, complete or not."""
        runs = self.cells.drop_duplicates(CELL)
        seeds = runs[runs["complete"]].groupby("method")["seed"].nunique()
        return pd.DataFrame({"seeds": seeds, "cells": runs.groupby("method").size()}).loc[self.methods]

    def floor(self) -> pd.Series:
        """F1 per AU, and its `average`, of the predictor that says "present" of every AU in every image."""
        return self.means("f1_all_positive").loc[[self.reference]].iloc[0]

    def differences(self, metric: str = "f1") -> pd.DataFrame:
        """Each method minus the reference, paired by fold and seed.

        Returns:
            One row per (method, AU or `average`): `mean`, `sd`, `low` and `high` (the 95 % t interval of the mean, NaN
            for fewer than two pairs) and `pairs`, how many cells both methods have.
        """
        table = self.by_cell(metric)
        reference = table.loc[[self.reference]].droplevel("method")
        rows = {}
        for method in self.methods[1:]:
            scores = table.loc[[method]].droplevel("method")
            paired = (scores - reference).loc[scores.index.intersection(reference.index)]
            for column in [*self.aus, AVERAGE]:
                values = paired[column].to_numpy(dtype=np.float64)
                values = values[~np.isnan(values)]
                low, high = mean_interval(values)
                mean = float(values.mean()) if len(values) else np.nan
                sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
                rows[method, column] = {"mean": mean, "sd": sd, "low": low, "high": high, "pairs": len(values)}
        index = pd.MultiIndex.from_tuples(list(rows), names=["method", "au"]) if rows else None
        return pd.DataFrame(list(rows.values()), index=index, columns=["mean", "sd", "low", "high", "pairs"])

    def _repr_html_(self) -> str:
        """F1 x 100 per AU, its floor, and the differences to the reference, for notebooks."""
        scores = pd.concat([self.means(), self.floor().to_frame("all present").T])
        title = html.escape(f"{self.title}, test folds {', '.join(self.folds)}")
        parts = [f"<p>{title}</p>", (100 * scores).round(1).to_html()]
        if len(self.methods) > 1:
            average = self.differences().xs(AVERAGE, level="au")
            average[["mean", "sd", "low", "high"]] *= 100
            title = html.escape(f"Difference to {self.reference} in average F1 × 100, paired by fold and seed")
            parts += [f"<p>{title}</p>", average.round(1).to_html()]
        return "".join([*parts, *(f"<p>Note: {html.escape(warning)}.</p>" for warning in self.warnings)])


def method_title(name: str) -> str:
    """How tables and figures write a method's name.

    Example:
        >>> method_title("mal (resnet34)")
        'MAL (resnet34)'
    """
    method, parenthesis, rest = name.partition(" (")
    return METHOD_TITLES.get(method, method) + parenthesis + rest


def compare(
    runs: Sequence[str | os.PathLike[str]],
    *,
    reference: str | None = None,
    aus: Sequence[str] | None = None,
    shared_rows: bool = False,
    protocol: Protocol = "folds",
) -> Comparison:
    """Reads the predictions of several runs and scores them side by side.

    Methods go by the `label` of their predictions, or else by their method's name, with the backbone added where one
    method has several. Runs of a method differ in fold or seed.

    Args:
        runs: run folders, predictions files, or objects with such a path (`metafacs.Run`).
        reference: the method that the others are compared with; the first one read where None.
        aus: score these AU columns only; without it, all runs need the same AUs.
        shared_rows: score only the test images that all runs on a fold have; without it, different ones are an error.
        protocol: "folds" or "pooled", see above.

    Raises:
        InputError: a file cannot be used, two runs are the same cell, the runs have different datasets, AUs, test
            images or labels, or the methods have no fold in common.
    """
    if not runs:
        raise InputError("there is nothing to compare: name at least one run folder or predictions file")
    files = [read_predictions(Path(run)) for run in runs]
    dataset = _one_dataset(files)
    chosen = list(aus) if aus is not None else _one_au_list(files)
    left_out = dict.fromkeys(au for file in files for au in file.info.get("left_out", []))
    names = _method_names(files)
    _refuse_duplicates(files, names)
    methods = list(dict.fromkeys(names))
    if reference is not None:
        if reference not in methods:
            raise InputError(f"no run of the reference method '{reference}'; the runs are of {', '.join(methods)}")
        methods = [reference, *(name for name in methods if name != reference)]
    cautions = dict.fromkeys(caution for file in files for caution in file.info.get("cautions", []))
    tables, warnings = _same_rows(files, chosen, shared_rows)
    cells = pd.concat([_scored(*entry, chosen) for entry in zip(files, tables, names, strict=True)], ignore_index=True)
    folds, more = _common_folds(cells, methods)
    warnings += more
    cells = cells[cells["fold"].isin(folds)].reset_index(drop=True)
    cells["complete"] = cells.groupby(["method", "seed"])["fold"].transform("nunique") == len(folds)
    warnings += _missing_cells(cells, methods, folds)
    thresholds = sorted({float(value) for file in files for value in np.atleast_1d(file.info["threshold"])})
    if len({str(file.info["threshold"]) for file in files}) > 1:
        warnings.append("the runs were scored at different thresholds: each at the one in its predictions file")
    warnings += _undefined(cells)
    if left_out:
        titles = ", ".join(map(au_title, left_out))
        warnings.append(f"not scored: {titles}, as some training images had no label of them or showed one class only")
    warnings = [f"people of the test fold may have trained: {caution}" for caution in cautions] + warnings
    return Comparison(cells, methods, chosen, dataset, folds, protocol, thresholds, warnings, not cautions)


def _with_average(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{AVERAGE: table.mean(axis=1)})


def _pooled(cells: pd.DataFrame, metric: str) -> pd.Series:
    total = cells.groupby(["method", "seed", "au"])[["n", "positives", "true_positives", "false_positives"]].sum()
    hits, false = total["true_positives"], total["false_positives"]
    if metric == "accuracy":
        right = hits + total["n"] - total["positives"] - false
        return right / total["n"].where(total["n"] > 0)
    if metric == "f1_all_positive":
        hits, false = total["positives"], total["n"] - total["positives"]
    pooled = pd.Series(f1_from_counts(hits.to_numpy(), false.to_numpy(), total["positives"].to_numpy()), total.index)
    return pooled.where(total["n"] > 0)


def _one_dataset(files: Sequence[Predictions]) -> str:
    first = files[0]
    for file in files:
        if file.info["dataset"] != first.info["dataset"]:
            raise InputError(
                f"{first.source} was tested on '{first.info['dataset']}' and {file.source} on "
                f"'{file.info['dataset']}': scores on different datasets do not compare; make one table per dataset"
            )
    return str(first.info["dataset"])


def _one_au_list(files: Sequence[Predictions]) -> list[str]:
    first = files[0]
    asked = [{*file.aus, *file.info.get("left_out", [])} for file in files]
    shared = [au for au in first.aus if all(au in other.aus for other in files)]
    for file, aus in zip(files, asked, strict=True):
        if aus != asked[0] or not shared:
            raise InputError(
                f"{first.source} predicts {', '.join(first.aus)} and {file.source} {', '.join(file.aus)}: averages "
                f"over different AUs do not compare; choose AUs that all have ({', '.join(shared) or 'there are none'})"
            )
    return shared


def _method_names(files: Sequence[Predictions]) -> list[str]:
    names = [str(file.info.get("label") or file.info["method"]) for file in files]
    backbones: dict[str, set[str]] = {}
    for name, file in zip(names, files, strict=True):
        backbones.setdefault(name, set()).add(str(file.info["backbone"]))
    return [
        f"{name} ({file.info['backbone']})" if len(backbones[name]) > 1 else name
        for name, file in zip(names, files, strict=True)
    ]


def _refuse_duplicates(files: Sequence[Predictions], names: Sequence[str]) -> None:
    sources: dict[tuple[str, str, int], Path] = {}
    for name, file in zip(names, files, strict=True):
        cell = (name, str(file.info["fold"]), int(file.info["seed"]))
        if cell in sources:
            raise InputError(
                f"{sources[cell]} and {file.source} are both {name} on fold {cell[1]} with seed {cell[2]}: leave one "
                "out, or give variants of a method different labels"
            )
        sources[cell] = file.source


def _same_rows(
    files: Sequence[Predictions], aus: Sequence[str], shared_rows: bool
) -> tuple[list[pd.DataFrame], list[str]]:
    """The table of each file, sorted by image and checked to have the same images and labels as its fold's others."""
    tables: list[pd.DataFrame] = [pd.DataFrame()] * len(files)
    warnings = []
    for fold in dict.fromkeys(str(file.info["fold"]) for file in files):
        positions = [k for k, file in enumerate(files) if str(file.info["fold"]) == fold]
        group = [files[k] for k in positions]
        shared = reduce(pd.MultiIndex.intersection, [file.keys() for file in group])
        if any(len(file) != len(shared) for file in group):
            warnings.append(_different_rows(group, fold, len(shared), shared_rows))
        digests = {}
        for k, file in zip(positions, group, strict=True):
            tables[k] = file.table[file.keys().isin(shared)].sort_values(list(ROW_KEYS)).reset_index(drop=True)
            digests[_label_digest(tables[k], _present(file, aus))] = file
        if len(digests) > 1:
            first, second = list(digests.values())[:2]
            raise InputError(
                f"{first.source} and {second.source} hold different labels for the same images of fold {fold}: they "
                "were tested on different versions of the dataset; test both on the same one"
            )
    return tables, warnings


def _present(file: Predictions, aus: Sequence[str]) -> list[str]:
    missing = [au for au in aus if au not in file.aus]
    if missing:
        raise InputError(f"{file.source} does not predict {', '.join(missing)}; it has {', '.join(file.aus)}")
    return list(aus)


def _different_rows(group: Sequence[Predictions], fold: str, shared: int, allowed: bool) -> str:
    if allowed and shared:
        most = max(len(file) for file in group)
        return (
            f"fold {fold}: the runs were tested on different images; scored on the {shared} (of {most}) that all share"
        )
    sizes = ", ".join(f"{file.source}: {len(file)}" for file in group)
    advice = (
        "score the shared images only, or test all runs on the same prepared dataset"
        if shared
        else "nothing to compare"
    )
    raise InputError(f"fold {fold}: the runs were tested on different images ({sizes}; {shared} shared): {advice}")


def _label_digest(table: pd.DataFrame, aus: Sequence[str]) -> str:
    labels = table[list(aus)].to_numpy(dtype=np.float32, na_value=-1)
    return hashlib.sha256(labels.tobytes()).hexdigest()


def _scored(file: Predictions, table: pd.DataFrame, name: str, aus: Sequence[str]) -> pd.DataFrame:
    labels = table[list(aus)].to_numpy(dtype=np.float64, na_value=np.nan)
    probabilities = table[[probability_column(au) for au in aus]].to_numpy(dtype=np.float64)
    thresholds = dict(zip(file.aus, np.broadcast_to(file.info["threshold"], len(file.aus)), strict=True))
    scores = au_scores(labels, probabilities, aus, [float(thresholds[au]) for au in aus])
    scores = scores.join(best_threshold_scores(labels, probabilities, aus)).reset_index()
    ids = {"method": name, "fold": str(file.info["fold"]), "seed": int(file.info["seed"])}
    return pd.concat([pd.DataFrame([ids] * len(scores)), scores], axis=1).assign(source=str(file.source))


def _common_folds(cells: pd.DataFrame, methods: Sequence[str]) -> tuple[list[str], list[str]]:
    folds_of = {method: set(cells.loc[cells["method"] == method, "fold"]) for method in methods}
    common = sorted(set.intersection(*folds_of.values()))
    if not common:
        listed = "; ".join(f"{method}: {', '.join(sorted(folds))}" for method, folds in folds_of.items())
        raise InputError(f"the methods have no test fold in common ({listed}): run them on the same folds")
    left_out = sorted(set.union(*folds_of.values()) - set(common))
    if not left_out:
        return common, []
    lacking = ", ".join(method_title(method) for method, folds in folds_of.items() if not set(left_out) <= folds)
    return common, [
        f"only fold {', '.join(common)} is scored, in every row: {lacking} was not tested on {', '.join(left_out)}"
    ]


def _missing_cells(cells: pd.DataFrame, methods: Sequence[str], folds: Sequence[str]) -> list[str]:
    seeds = sorted(cells["seed"].unique())
    have = set(cells[CELL].itertuples(index=False, name=None))
    warnings = []
    for method in methods:
        missing = [f"{fold} seed {seed}" for seed in seeds for fold in folds if (method, fold, seed) not in have]
        if missing:
            warnings.append(f"{method_title(method)} has no run on {', '.join(missing)}")
        of_method = cells[cells["method"] == method]
        if not of_method["complete"].any():
            raise InputError(
                f"{method} has no seed that was tested on all of the folds {', '.join(folds)} (missing: "
                f"{', '.join(missing)}): run those, or leave the method or the fold out"
            )
        partial = sorted(of_method.loc[~of_method["complete"], "seed"].unique())
        if partial:
            listed = ", ".join(str(seed) for seed in partial)
            warnings.append(
                f"seed {listed} of {method_title(method)} lacks a fold: it is in the paired differences, not the mean"
            )
    return warnings


def _undefined(cells: pd.DataFrame) -> list[str]:
    first_of_fold = cells.drop_duplicates(["fold", "au"])
    return [
        f"fold {fold}: {sentence}"
        for fold, scores in first_of_fold.groupby("fold")
        for sentence in undefined_scores(scores.set_index("au"))
    ]
