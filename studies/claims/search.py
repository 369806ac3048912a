"""The settings of the claims: a search on people who are in no fold.

    python studies/claims/search.py [--small] [--device cuda] [--methods ...]

Every trial trains on a third of the people of one fold's training part and is scored on thirty rendered people of its
own who are in no fold of any claim, so that neither a test fold nor the reserved images (which MAL's meta
loss has seen) choose anything. Prints and writes `search.csv`: a row per trial, the best of each method marked.
"""

from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np
import pandas as pd
import torch
from average_f1 import fewer_people, sizes

from metafacs.analysis.records import read_run_name
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from metafacs.training.predicting import face_probabilities

LEAST = 4
"""People who train, where some of them are to be reserved whole."""
TRIALS = {
    "stl": [
        "stl:au_reduction=mean",
        *(f"stl:au_reduction=mean;optimiser.learning_rate={rate}" for rate in ("6e-3", "2e-3")),
    ],
    "mtl": [
        *(f"mtl:au_reduction=mean;auxiliary_weight={weight}" for weight in ("0.02", "0.1", "0.3", "0.5")),
        *(f"mtl:au_reduction=sum;auxiliary_weight={weight}" for weight in ("0.5", "0.7")),
    ],
    "mal": [
        *(f"mal:beta={beta};au_reduction=mean" for beta in ("1e-3", "1e-2")),
        *(f"mal:beta={beta};au_reduction=sum" for beta in ("1e-3", "1e-2")),
        "mal:beta=1e-2;weights=task;au_reduction=mean",
        "mal:beta=1e-2;inputs=loss;au_reduction=mean",
        "mal:beta=3e-3;data.reserve_people=0.2;au_reduction=mean",
        "mal:beta=1e-2;inputs=loss;au_reduction=sum",
        "mal:beta=1e-3;au_reduction=sum;inputs=feature+label+loss;normalised_features=true",
        "mal:beta=1e-3;au_reduction=sum;data.reserve_people=0.2",
    ],
}
"""Method -> its trials; the learning rate of all but STL's is the common one (0.003)."""


def main(arguments: Sequence[str] | None = None) -> None:
    every = ",".join(f"{name}_{k}={trial}" for name, trials in TRIALS.items() for k, trial in enumerate(trials))
    study = common.read_study("search", __doc__ or "", every, arguments, folds="P1", seeds="0")
    whole, fe, others = PreparedDataset.open(study.au_data()), study.fe_data(), unseen_people(study)
    *_, few, most = sizes(study.scale.subjects)
    people = few if few >= LEAST else most
    options = dict(text.split("=", 1) for text in study.methods.split(","))
    rows = []
    for fold in study.folds:
        for run in study.train(f"{people}_people_{fold}", fewer_people(whole, fold, people), fe, fold=fold):
            label = read_run_name(run).method
            row = {"method": label.rsplit("_", 1)[0], "trial": options[label], "people": people}
            rows.append(row | score(run, others, study.scale.settings["loop.device"]))
    table = pd.DataFrame(rows).groupby(["method", "trial", "people"], sort=False, as_index=False).mean()
    means = table.groupby(["method", "trial"], sort=False)["f1"].mean()
    best = means.groupby("method").idxmax().to_list()
    table["best"] = ["*" if key in best else "" for key in zip(table["method"], table["trial"], strict=True)]
    study.write(table)


def unseen_people(study: common.Study) -> PreparedDataset:
    """AU images of people who train nothing but what all networks start from."""
    people, frames = min(30, study.scale.subjects), study.scale.frames // 5 + 1
    return PreparedDataset.open(study.au_data("unseen_au", subjects=people, frames=frames, seed=common.OTHERS))


def score(run: Path, data: PreparedDataset, device: str) -> dict[str, float]:
    """Average F1 and AUC x 100 of a run on a whole dataset."""
    network, card = load_detector(run / DETECTOR)
    network = network.to(torch.device(device)).to(memory_format=torch.channels_last)
    labels = data.au_labels(card.aus)
    faces = Faces(data, np.arange(len(data)), card.resize)
    probabilities = face_probabilities(network, faces, card.side, torch.device(device))
    average = average_scores(au_scores(labels, probabilities, card.aus))
    return {"f1": 100 * float(average["f1"]), "auc": 100 * float(average["auc"])}


if __name__ == "__main__":
    main()
