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

from metafacs.commands import synth
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.experiments.jobs import Job
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from metafacs.training.predicting import over_faces

LEAST = 4
"""People who train, where some of them are to be reserved whole."""
TRIALS = {
    "stl": ["stl:au_reduction=mean", *(f"stl:optimiser.learning_rate={rate}" for rate in ("6e-3", "2e-3"))],
    "mtl": [
        *(f"mtl:auxiliary_weight={weight}" for weight in ("0.02", "0.1", "0.3", "0.5")),
        *(f"mtl:au_reduction=sum;auxiliary_weight={weight}" for weight in ("0.5", "0.7")),
    ],
    "mal": [
        *(f"mal:beta={beta}" for beta in ("1e-3", "1e-2")),
        *(f"mal:beta={beta};au_reduction=sum" for beta in ("1e-3", "1e-2")),
        "mal:beta=1e-2;weights=task",
        "mal:beta=1e-2;inputs=loss",
        "mal:beta=3e-3;data.reserve_people=0.2",
        "mal:beta=1e-2;inputs=loss;au_reduction=sum",
        "mal:beta=1e-3;au_reduction=sum;inputs=feature+label+loss;normalised_features=true",
        "mal:beta=1e-3;au_reduction=sum;data.reserve_people=0.2",
    ],
}
"""Method -> its trials; the learning rate of all but STL's is the common one (0.003)."""


def main(arguments: Sequence[str] | None = None) -> None:
    every = ",".join(f"{name}_{k}={trial}" for name, trials in TRIALS.items() for k, trial in enumerate(trials))
    made = common.study("search", __doc__ or "", every, arguments, folds="P1", seeds="0")
    whole, fe = PreparedDataset.open(common.au_data(made)), common.fe_data(made)
    others = unseen_people(made)
    made = common.started(made)
    jobs: dict[int, list[Job]] = {}
    few = sizes(made.scale.subjects)
    for people in [few[1] if few[1] >= LEAST else few[-1]]:
        for fold in made.folds:
            part = fewer_people(whole, fold, people)
            jobs[people] = jobs.get(people, []) + common.grid(made, f"{people}_people_{fold}", part, fe, folds=[fold])
    common.train(made, [job for own in jobs.values() for job in own])
    options = dict(text.split("=", 1) for text in made.methods.split(","))
    rows = []
    for people, own in jobs.items():
        for job in own:
            label = job.run.name.rsplit("_", 2)[0]
            row = {"method": label.rsplit("_", 1)[0], "trial": options[label], "people": people}
            rows.append(row | score(job.run, others, made.scale.settings["loop.device"]))
    table = pd.DataFrame(rows).groupby(["method", "trial", "people"], sort=False, as_index=False).mean()
    means = table.groupby(["method", "trial"], sort=False)["f1"].mean()
    best = means.groupby("method").idxmax().to_list()
    table["best"] = ["*" if key in best else "" for key in zip(table["method"], table["trial"], strict=True)]
    common.write(made, table)


def unseen_people(made: common.Study) -> PreparedDataset:
    """AU images of people who are in no other dataset."""
    folder = made.out / "data" / f"unseen_au_{made.scale.size}px"
    shape = {"size": made.scale.size, "rays": made.scale.rays, "seed": common.OTHERS}
    synth.render_own("au", folder, subjects=min(30, made.scale.subjects), frames=made.scale.frames // 5 + 1, **shape)
    return PreparedDataset.open(folder)


def score(run: Path, data: PreparedDataset, device: str) -> dict[str, float]:
    """Average F1 and AUC x 100 of a run on a whole dataset."""
    network, card = load_detector(run / DETECTOR)
    network = network.to(torch.device(device)).to(memory_format=torch.channels_last)
    labels = data.au_labels(card.aus)
    faces = Faces(data, np.arange(len(data)), card.resize)
    with torch.no_grad():
        found = over_faces(
            lambda images: torch.sigmoid(network(images).au_logits), faces, card.side, torch.device(device)
        )
    average = average_scores(au_scores(labels, found, card.aus))
    return {"f1": 100 * float(average["f1"]), "auc": 100 * float(average["auc"])}


if __name__ == "__main__":
    main()
