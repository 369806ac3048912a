"""Claim 1: average F1, MAL over MTL over STL, at three sizes of AU data.

    python studies/claims/average_f1.py [--small] [--device cuda]

How few AU subjects make expression data worth it? The test folds are the same at all sizes; what changes is how many
people the rest of the AU data has. Prints and writes `average_f1.csv` (a row per size and method) and
`average_f1_gains.csv` (each against each, paired by fold and seed).
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import common
import numpy as np
import pandas as pd
from trends import trends

from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.comparison import compare

PAIRS = (("mal", "mtl"), ("mtl", "stl"), ("mal", "stl"))


def main(arguments: Sequence[str] | None = None) -> None:
    methods = ",".join([common.STL, common.MTL, common.MAL, common.MAL_LOSS])
    study = common.read_study("average_f1", __doc__ or "", methods, arguments)
    whole, fe = PreparedDataset.open(study.au_data()), study.fe_data()
    tables, gains = [], []
    for people in sizes(study.scale.subjects):
        parts = {fold: fewer_people(whole, fold, people) for fold in study.folds}
        runs = [run for fold in parts for run in study.train(f"{people}_people_{fold}", parts[fold], fe, fold=fold)]
        comparison = compare(runs)
        tables.append(common.average_rows(comparison).reset_index().assign(people=people))
        for better, worse in PAIRS:
            if {better, worse} <= set(comparison.methods):
                gain = common.gain(compare(runs, reference=worse), better)
                verdict = common.verdict(gain)
                gains.append({"people": people, "gain": f"{better} - {worse}", **gain, "verdict": verdict})
    table = pd.concat(tables, ignore_index=True)
    study.write(table[["people", "method", "f1", "f1_sd", "auc", "runs"]])
    study.write(pd.DataFrame(gains), "gains")
    trends({"": table}, "people", "People with AU labels in training", study.out / study.name / "average_f1")


def sizes(subjects: int) -> list[int]:
    """Numbers of people to train on: an eighth, a third and all of those outside a fold."""
    most = subjects * 2 // 3
    return sorted({max(2, most // 8), max(3, most // 3), most})


def fewer_people(whole: PreparedDataset, fold: str, people: int) -> Path:
    """The dataset with all of the test fold, and of the others the first `people`, taken from each in turn."""
    folds, subjects = whole.column("fold").astype(str), whole.column("subject").astype(str)
    others = [sorted(set(subjects[folds == name])) for name in sorted(set(folds)) if name != fold]
    turns = [name for turn in zip_longest(*others) for name in turn if name is not None]
    rows = np.flatnonzero((folds == fold) | np.isin(subjects, turns[:people]))
    settings = {"of": whole.card.faces_sha256, "test_fold": fold, "people": people}
    folder = whole.folder.with_name(f"{whole.folder.name}_{people}_people_{fold}")
    return common.part_of(whole, rows, folder, settings)


if __name__ == "__main__":
    main()
