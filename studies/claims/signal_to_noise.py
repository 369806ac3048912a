"""Why weights are hard to learn: how far the look-ahead signal stands out of its noise, as training goes.

    python studies/claims/signal_to_noise.py [--small] [--device cuda]

A meta network learns from the alignment of images: the inner product of the gradient of an image's loss with that of
the meta loss, positive where a step on the image helps the reserved AU images. MTL is trained and stopped at several
places; there the alignment of the training images with all reserved images is measured, each in its batch. Prints and
writes, and the test fold has no part in it:

- `signal_to_noise.csv`: by place and group of images, the mean alignment, its standard error and standard deviation,
  and how many images of a group it takes until its mean is two standard errors from that of all;
- `signal_to_noise_told.csv`: how well a linear map predicts alignment from what a meta network may be told, and from
  the truth: correlation on images that the map was not fitted to;
- `signal_to_noise_reserve.csv`: cosine between the meta gradients of the reserved images and of other people's.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import common
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from search import unseen_people
from torch import Tensor, nn

from metafacs.analysis.statistics import spearman
from metafacs.commands.parsing import parse
from metafacs.commands.train import base_network, train_parser
from metafacs.data.card import CAUSE
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces, training_batches
from metafacs.data.transforms import centre_crops, crop
from metafacs.methods import METHODS
from metafacs.methods.base import Batch, Method, Setup
from metafacs.methods.mal import MAL, MALOptions
from metafacs.models.network import Network
from metafacs.training import loop
from metafacs.training.data import TrainingData, open_data

PLACES = (0.05, 0.2, 0.5, 0.8, 1.0)
"""Parts of the run after which alignments are measured."""
BINS = {"consistency below 0.4": (0.0, 0.4), "0.4 to 0.8": (0.4, 0.8), "0.8 and more": (0.8, 1.01)}
Vector = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    made = common.study("signal_to_noise", __doc__ or "", "mtl", arguments, folds="P1", seeds="0")
    primary, auxiliary = common.au_data(made), common.fe_data(made)
    others = unseen_people(made)
    made = common.started(made)
    settings = _settings(made, primary, auxiliary)
    threads = settings.loop.threads
    if threads:
        torch.set_num_threads(threads)
    device = torch.device(settings.loop.device)
    data = open_data(settings.data, True, settings.seed, Console(stderr=True, quiet=True))
    torch.manual_seed(settings.seed)
    network = base_network(settings, data)
    network = network.to(device).to(memory_format=torch.channels_last)
    unseen = _whole(others, data.aus, settings.data.resize, settings.data.side, device)
    tables: dict[str, list[pd.DataFrame]] = {"": [], "told": [], "reserve": []}
    for step in _stops(settings, network, data, device):
        found = alignments(network, data, settings.data.side, device)
        tables[""].append(by_group(found).assign(step=step))
        tables["told"].append(predictions(found).assign(step=step))
        cosines = reserve_cosines(network, data, settings.data.side, device, unseen)
        tables["reserve"].append(cosines.assign(step=step))
    for name, parts in tables.items():
        table = pd.concat(parts, ignore_index=True)
        common.write(made, table[["step", *table.columns.drop("step")]], name)


def _settings(made: common.Study, primary: Path, auxiliary: Path) -> Any:
    data = {"data.primary": primary, "data.auxiliary": auxiliary}
    given = {**made.scale.settings, "loop.steps": made.scale.steps, "network.weights": made.weights, **data}
    flags = common.flags({**given, "method": "mtl"})
    return parse(train_parser("signal_to_noise"), [*flags, "--out", str(made.out / made.name)])


def _stops(settings: Any, network: Network, data: TrainingData, device: torch.device) -> Any:
    """Trains MTL; gives the number of steps taken at each of `PLACES`."""
    method, own, steps = _mtl(settings, network, data), settings.optimiser, settings.loop.steps
    streams = {str(name): data.streams[name] for name in method.streams}
    plan = loop.Plan(steps, own.schedule, own.warmup, 2, log_every=10**9, validate_every=10**9, save_every=10**9)
    silent = loop.Hooks(lambda *_: None, lambda _: None, lambda _: None)
    begin = 0
    for place in PLACES:
        part = range(begin, max(begin + 1, round(place * steps)))
        batches = training_batches(streams, part, settings.data.side, 1, device)
        loop.train(method, batches, part, plan, silent)
        begin = part.stop
        common.console.print(f"{begin} of {steps} steps; measuring")
        yield begin


def _mtl(settings: Any, network: Network, data: TrainingData) -> Method:
    own = settings.optimiser

    def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=own.learning_rate, weight_decay=own.weight_decay)

    return METHODS["mtl"](Setup(network, adamw))


def _measuring(network: Network, data: TrainingData) -> MAL:
    """MAL on a copy of the network, to ask for alignments; nothing of it is ever stepped."""
    twin = deepcopy(network)
    weights = data.class_weights(next(twin.parameters()).device)
    return MAL(Setup(twin, lambda parameters: torch.optim.SGD(parameters, lr=0.0), weights), MALOptions(alpha=1.0))


def _whole(dataset: PreparedDataset, aus: list[str], resize: int, side: int, device: torch.device) -> Batch:
    faces = Faces(dataset, np.arange(len(dataset)), resize)
    return _batch(faces, dataset.au_labels(aus), side, device)


def _batch(faces: Faces, labels: NDArray[np.float32], side: int, device: torch.device) -> Batch:
    """All the faces, cut from their middle."""
    images = faces.images(np.arange(len(faces))).to(device)
    return Batch(crop(images, centre_crops(len(faces), faces.size - side), side), torch.from_numpy(labels).to(device))


def alignments(network: Network, data: TrainingData, side: int, device: torch.device) -> pd.DataFrame:
    """A row per image: alignment, loss, what is known and true of it; `feature` holds vectors.

    One pass over the expression images in training's batches, each with a batch of AU images.
    """
    reserve = _batch(data.reserve, data.reserve_labels, side, device)
    method = _measuring(network, data)
    streams = {name: data.streams[name] for name in ("primary", "auxiliary")}
    steps = range(-(-len(streams["auxiliary"].labels) // streams["auxiliary"].order.batch))
    rows = {name: _known(*data.rows[name]) for name in streams}
    tables = []
    for step, batch in zip(steps, training_batches(streams, steps, side, 3, device), strict=True):
        streams_of = {"primary": Batch(*batch["primary"]), "auxiliary": Batch(*batch["auxiliary"]), "meta": reserve}
        images = method.forward_pass(streams_of)  # type: ignore[arg-type]
        still = images.losses.new_zeros(len(images.losses))  # the virtual step goes nowhere: alignment at theta
        aligned = -images.look_ahead(still, method.alpha).gradient
        places = {name: stream.order(step) for name, stream in streams.items()}
        known = pd.concat([rows[name].iloc[places[name]].assign(stream=name) for name in streams], ignore_index=True)
        known["alignment"], known["loss"] = _plain(aligned), _plain(images.losses)
        known["feature"] = list(images.feature.cpu().numpy())
        tables.append(known)
    return pd.concat(tables, ignore_index=True)


def _known(dataset: PreparedDataset, faces: Faces) -> pd.DataFrame:
    table = pd.DataFrame({"consistency": dataset.consistency()[faces.rows]})
    for name in (CAUSE, "expression"):
        table[name] = dataset.column(name)[faces.rows] if name in dataset.table.column_names else None
    return table


def _plain(values: Tensor) -> Vector:
    return values.detach().double().cpu().numpy()


def by_group(found: pd.DataFrame) -> pd.DataFrame:
    """Mean alignment of both tasks' images, and of expression images by consistency and by cause of ambiguity."""
    fe = found[found["stream"] == "auxiliary"]
    groups: dict[str, pd.DataFrame] = {"AU images": found[found["stream"] == "primary"], "expression images": fe}
    for name, (low, high) in BINS.items():
        groups[name] = fe[(fe["consistency"] >= low) & (fe["consistency"] < high)]
    groups |= {f"cause: {cause}": own for cause, own in fe.groupby(CAUSE)}
    everyone = float(fe["alignment"].mean())
    return pd.DataFrame(
        [_line(name, own["alignment"].to_numpy(), everyone) for name, own in groups.items() if len(own)]
    )


def _line(name: str, values: Vector, everyone: float) -> dict[str, object]:
    sd = values.std(ddof=1) if len(values) > 1 else np.nan
    apart = abs(values.mean() - everyone)
    return {
        "group": name,
        "images": len(values),
        "mean": values.mean(),
        "standard_error": sd / np.sqrt(len(values)),
        "sd": sd,
        "signal_to_noise": values.mean() / sd,
        "images_until_told": np.ceil((2 * sd / apart) ** 2) if apart else np.nan,
    }


def predictions(found: pd.DataFrame) -> pd.DataFrame:
    """Correlation of alignment with its linear prediction, on the half of the expression images not fitted to."""
    fe = found[found["stream"] == "auxiliary"].reset_index(drop=True)
    loss = fe[["loss"]].to_numpy(dtype=np.float64)
    labels = pd.get_dummies(fe["expression"]).to_numpy(dtype=np.float64)
    feature = np.stack(fe["feature"].to_list()).astype(np.float64)
    told: Mapping[str, Vector] = {
        "feature": feature,
        "loss": loss,
        "loss, square": np.hstack([loss, loss**2]),
        "label": labels,
        "label, loss": np.hstack([labels, loss, labels * loss]),
        "feature, label, loss": np.hstack([feature, labels, loss]),
        "truth: consistency": fe[["consistency"]].to_numpy(dtype=np.float64),
        "truth: cause": pd.get_dummies(fe[CAUSE].fillna("none")).to_numpy(dtype=np.float64),
    }
    aligned = fe["alignment"].to_numpy(dtype=np.float64)
    rows = [{"told": name, "correlation": _unseen_correlation(x, aligned)} for name, x in told.items()]
    ranks = spearman(fe["consistency"].to_numpy(dtype=np.float64), aligned)
    lossy = spearman(fe["consistency"].to_numpy(dtype=np.float64), loss[:, 0])
    extra = [{"told": "Spearman of alignment and consistency", "correlation": ranks}]
    return pd.DataFrame([*rows, *extra, {"told": "Spearman of loss and consistency", "correlation": lossy}])


def _unseen_correlation(x: Vector, y: Vector, splits: int = 10, penalty: float = 1.0) -> float:
    """Mean over random halvings of the correlation of ridge regression on the half it did not see."""
    generator, found = np.random.default_rng(0), []
    z = (x - x.mean(0)) / (x.std(0) + 1e-9)
    for _ in range(splits):
        order = generator.permutation(len(y))
        fit, test = order[: len(y) // 2], order[len(y) // 2 :]
        a = np.hstack([z[fit], np.ones((len(fit), 1))])
        beta = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ y[fit])
        predicted = z[test] @ beta[:-1]
        found.append(np.corrcoef(predicted, y[test])[0, 1] if predicted.std() > 0 else 0.0)
    return float(np.mean(found))


def reserve_cosines(
    network: Network, data: TrainingData, side: int, device: torch.device, unseen: Batch
) -> pd.DataFrame:
    """Cosine of the meta gradient of n reserved images with that of all images of people nobody trained on."""
    method = _measuring(network, data)
    reserve = _batch(data.reserve, data.reserve_labels, side, device)
    ideal = _meta_gradient(method, unseen)
    order = torch.randperm(len(reserve), generator=torch.Generator().manual_seed(0)).to(device)
    counts = sorted({n for n in (16, 32, 64, 128, len(reserve)) if n <= len(reserve)})
    rows = []
    for n in counts:
        part = Batch(reserve.images[order[:n]], reserve.labels[order[:n]])
        cosine = torch.cosine_similarity(_meta_gradient(method, part), ideal, dim=0)
        rows.append({"reserved_images": n, "unseen_images": len(unseen), "cosine": float(cosine)})
    return pd.DataFrame(rows)


def _meta_gradient(method: MAL, batch: Batch) -> Tensor:
    method.network.train()
    parameters = {n: p for n, p in method.network.named_parameters() if not n.startswith("expression_head")}
    every = dict(method.network.named_parameters())
    loss = method.meta_loss_at(batch)(every)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(parameters.values()))])


if __name__ == "__main__":
    main()
