"""Claim 5: time and memory of every method relative to MTL.

    python studies/claims/cost.py [--small] [--device cuda]

Short runs, one at a time, the methods in turn and three times over, on a machine that should do nothing else. Prints
and writes `cost.csv`. On a CPU the ratio is of processor time, which others on the machine disturb less; on a GPU of
the time that passes.
"""

from collections.abc import Sequence

import common

from metafacs.evaluation.costs import costs
from metafacs.methods import METHODS


def main(arguments: Sequence[str] | None = None) -> None:
    every = ",".join(["mtl", *(name for name in METHODS if name != "mtl")])
    short = {"steps": 60, "pretraining": 0, "folds": "P1", "seeds": "0,1,2", "at_once": 1, "images": 500, "frames": 20}
    study = common.read_study("cost", __doc__ or "", every, arguments, **short)
    table = costs(study.runs(), "mtl")
    if study.scale.settings["loop.device"] == "cuda" and "mtl" in table.index:
        table["time_ratio"] = table["seconds_per_step"] / table["seconds_per_step"].to_dict()["mtl"]
    study.write(table.sort_values("time_ratio").reset_index())


if __name__ == "__main__":
    main()
