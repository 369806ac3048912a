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

from collections.abc import Iterator, Mapping, Sequence

import common
import numpy as np
import pandas as pd
import torch
import torch.autograd.forward_ad as forward_ad
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from metafacs.analysis.statistics import spearman
from metafacs.commands.train import train_config, train_parser
from metafacs.config import TrainConfig
from metafacs.data.card import CAUSE
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces, training_batches
from metafacs.data.transforms import centre_crops, crop
from metafacs.methods import METHODS
from metafacs.methods.base import Setup
from metafacs.methods.lookahead import isolated
from metafacs.methods.losses import au_losses, expression_losses
from metafacs.models.network import Network
from metafacs.sample import Batch, Sample, concatenated
from metafacs.training import loop
from metafacs.training.data import TrainingData, open_data, steps_of
from metafacs.training.session import base_network

PLACES = (0.05, 0.2, 0.5, 0.8, 1.0)
"""Parts of the run after which alignments are measured."""
BINS = {"consistency below 0.4": (0.0, 0.4), "0.4 to 0.8": (0.4, 0.8), "0.8 and more": (0.8, 1.01)}
Vector = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    study = common.read_study("signal_to_noise", __doc__ or "", "mtl", arguments, folds="P1", seeds="0")
    others = unseen_people(study)
    settings = _settings(study)
    if settings.loop.threads:
        torch.set_num_threads(settings.loop.threads)
    device = torch.device(settings.loop.device)
    data = open_data(settings.data, ("auxiliary",), settings.seed, Console(stderr=True, quiet=True))
    torch.manual_seed(settings.seed)
    network = base_network(settings.network, data)
    network = network.to(device).to(memory_format=torch.channels_last)
    unseen = _whole(others, data.aus, settings.data.resize, settings.data.side, device)
    tables: dict[str, list[pd.DataFrame]] = {"": [], "told": [], "reserve": []}
    for step in _stops(settings, network, data, device):
        images = alignments(network, data, settings.data.side, device)
        tables[""].append(by_group(images).assign(step=step))
        tables["told"].append(predictions(images).assign(step=step))
        cosines = reserve_cosines(network, data, settings.data.side, device, unseen)
        tables["reserve"].append(cosines.assign(step=step))
    for name, parts in tables.items():
        table = pd.concat(parts, ignore_index=True)
        study.write(table[["step", *table.columns.drop("step")]], name)


def unseen_people(study: common.Study) -> PreparedDataset:
    """AU images of people who train nothing but what all networks start from."""
    people, frames = min(30, study.scale.subjects), study.scale.frames // 5 + 1
    return PreparedDataset.open(study.au_data("unseen_au", subjects=people, frames=frames, seed=common.OTHERS))


def _settings(study: common.Study) -> TrainConfig:
    data = {"data.primary": str(study.au_data()), "data.auxiliary": str(study.fe_data())}
    run = {"method": "mtl", "loop.steps": study.scale.steps, "out": str(study.out / study.name)}
    start = {"network.weights": study.weights}
    flags = common.as_flags({**study.scale.settings, **data, **run, **start})
    return train_config(train_parser(study.name), flags)[0]


def _stops(settings: TrainConfig, network: Network, data: TrainingData, device: torch.device) -> Iterator[int]:
    """Trains MTL; gives the number of steps taken at each of `PLACES`."""
    optimiser, steps = settings.optimiser, steps_of(settings)
    rate, decay = optimiser.learning_rate, optimiser.weight_decay
    setup = Setup(network, lambda parameters: torch.optim.AdamW(parameters, lr=rate, weight_decay=decay))
    method = METHODS["mtl"](setup, METHODS["mtl"].Options(au_reduction="mean"))
    streams = {str(name): data.streams[name] for name in method.streams}
    plan = loop.Plan(steps, optimiser.schedule, optimiser.warmup, 2, 10**9, 10**9, 10**9)
    silent = loop.Hooks(lambda *_: None, lambda _: None, lambda _: None)
    begin = 0
    for place in PLACES:
        part = range(begin, max(begin + 1, round(place * steps)))
        batches = training_batches(streams, part, settings.data.side, 1, device)
        loop.train(method, batches, part, plan, silent)
        begin = part.stop
        common.console.print(f"{begin} of {steps} steps; measuring")
        yield begin


def _meta_gradient(network: Network, data: TrainingData, batch: Batch) -> dict[str, Tensor]:
    """By parameter, the gradient of MAL's meta loss on `batch`."""
    theta, balance = dict(network.named_parameters()), data.class_weights(batch.labels.device)
    logits = isolated(network)(theta, batch.sample).au_logits
    loss = au_losses(logits, batch.labels, "mean", balance).mean()
    gradients = torch.autograd.grad(loss, list(theta.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(theta, gradients, strict=True))


def _whole(dataset: PreparedDataset, aus: list[str], resize: int, side: int, device: torch.device) -> Batch:
    faces = Faces(dataset, np.arange(len(dataset)), resize)
    return _batch(faces, dataset.au_labels(aus), side, device)


def _batch(faces: Faces, labels: NDArray[np.float32], side: int, device: torch.device) -> Batch:
    """All the faces, cut from their middle."""
    images = faces.images(np.arange(len(faces))).to(device)
    sample = Sample(crop(images, centre_crops(len(faces), faces.size - side), side))
    return Batch(sample, torch.from_numpy(labels).to(device))


def alignments(network: Network, data: TrainingData, side: int, device: torch.device) -> pd.DataFrame:
    """A row per image: alignment, loss, what is known and true of it; `feature` holds vectors.

    One pass over the expression images in training's batches, each with a batch of AU images. The derivative of the
    images' losses in the direction of the meta gradient is the inner product of their gradients with it.
    """
    direction = _meta_gradient(network, data, _batch(data.reserve, data.reserve_labels, side, device))
    streams = {name: data.streams[name] for name in ("primary", "auxiliary")}
    steps = range(-(-len(streams["auxiliary"].labels) // streams["auxiliary"].order.batch))
    rows = {name: _known(*data.rows[name]) for name in streams}
    tables = []
    for step, batch in zip(steps, training_batches(streams, steps, side, 3, device), strict=True):
        au, fe = batch["primary"], batch["auxiliary"]
        with torch.no_grad(), forward_ad.dual_level():
            theta = {name: forward_ad.make_dual(p, direction[name]) for name, p in network.named_parameters()}
            out = isolated(network)(theta, concatenated([au.sample, fe.sample]))
            au_loss = forward_ad.unpack_dual(au_losses(out.au_logits[: len(au)], au.labels, "mean"))
            fe_loss = forward_ad.unpack_dual(expression_losses(out.expression_logits[len(au) :], fe.labels))
            feature = forward_ad.unpack_dual(out.feature).primal
        places = {name: stream.order(step) for name, stream in streams.items()}
        known = pd.concat([rows[name].iloc[places[name]].assign(stream=name) for name in streams], ignore_index=True)
        known["alignment"] = _plain(torch.cat([au_loss.tangent, fe_loss.tangent]))
        known["loss"] = _plain(torch.cat([au_loss.primal, fe_loss.primal]))
        known["feature"] = list(feature.cpu().numpy())
        tables.append(known)
    return pd.concat(tables, ignore_index=True)


def _known(dataset: PreparedDataset, faces: Faces) -> pd.DataFrame:
    table = pd.DataFrame({"consistency": dataset.consistency()[faces.rows]})
    for name in (CAUSE, "expression"):
        table[name] = dataset.column(name)[faces.rows] if name in dataset.table.column_names else None
    return table


def _plain(values: Tensor) -> Vector:
    return values.detach().double().cpu().numpy()


def by_group(images: pd.DataFrame) -> pd.DataFrame:
    """Mean alignment of both tasks' images, and of expression images by consistency and by cause of ambiguity."""
    fe = images[images["stream"] == "auxiliary"]
    groups: dict[str, pd.DataFrame] = {"AU images": images[images["stream"] == "primary"], "expression images": fe}
    for name, (low, high) in BINS.items():
        groups[name] = fe[(fe["consistency"] >= low) & (fe["consistency"] < high)]
    groups |= {f"cause: {cause}": group for cause, group in fe.groupby(CAUSE)}
    everyone = float(fe["alignment"].mean())
    filled = {name: group["alignment"].to_numpy() for name, group in groups.items() if len(group)}
    return pd.DataFrame([_line(name, values, everyone) for name, values in filled.items()])


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


def predictions(images: pd.DataFrame) -> pd.DataFrame:
    """Correlation of alignment with its linear prediction, on the half of the expression images not fitted to."""
    fe = images[images["stream"] == "auxiliary"].reset_index(drop=True)
    loss = fe[["loss"]].to_numpy(dtype=np.float64)
    labels = pd.get_dummies(fe["expression"]).to_numpy(dtype=np.float64)
    feature = np.stack(fe["feature"].to_list()).astype(np.float64)
    inputs: Mapping[str, Vector] = {
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
    rows = [{"told": name, "correlation": _unseen_correlation(x, aligned)} for name, x in inputs.items()]
    ranks = spearman(fe["consistency"].to_numpy(dtype=np.float64), aligned)
    lossy = spearman(fe["consistency"].to_numpy(dtype=np.float64), loss[:, 0])
    extra = [{"told": "Spearman of alignment and consistency", "correlation": ranks}]
    return pd.DataFrame([*rows, *extra, {"told": "Spearman of loss and consistency", "correlation": lossy}])


def _unseen_correlation(x: Vector, y: Vector, splits: int = 10, penalty: float = 1.0) -> float:
    """Mean over random halvings of the correlation of ridge regression on the half it did not see."""
    generator, correlations = np.random.default_rng(0), []
    z = (x - x.mean(0)) / (x.std(0) + 1e-9)
    for _ in range(splits):
        order = generator.permutation(len(y))
        fit, test = order[: len(y) // 2], order[len(y) // 2 :]
        a = np.hstack([z[fit], np.ones((len(fit), 1))])
        beta = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ y[fit])
        predicted = z[test] @ beta[:-1]
        correlations.append(np.corrcoef(predicted, y[test])[0, 1] if predicted.std() > 0 else 0.0)
    return float(np.mean(correlations))


def _flat(gradient: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradient.values()])


def reserve_cosines(
    network: Network, data: TrainingData, side: int, device: torch.device, unseen: Batch
) -> pd.DataFrame:
    """Cosine of the meta gradient of n reserved images with that of all images of people nobody trained on."""
    reserve = _batch(data.reserve, data.reserve_labels, side, device)
    ideal = _flat(_meta_gradient(network, data, unseen))
    order = torch.randperm(len(reserve), generator=torch.Generator().manual_seed(0)).to(device)
    rows = []
    for n in sorted({n for n in (16, 32, 64, 128, len(reserve)) if n <= len(reserve)}):
        part = Batch(reserve.sample[order[:n]], reserve.labels[order[:n]])
        cosine = torch.cosine_similarity(_flat(_meta_gradient(network, data, part)), ideal, dim=0)
        rows.append({"reserved_images": n, "unseen_images": len(unseen), "cosine": float(cosine)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
