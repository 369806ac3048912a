"""Whether labels belong to the pictures they stand beside, or to ones a frame or two away: asked of the pictures.

A linear predictor learns, from other people, what small pictures say about each AU. Where a label changes, its
prediction should change between the same two frames. If it changes between the frames before or behind, and does so
person by person, labels and pictures are shifted. The predictor learns labels that are blurred over all lags that are
tried, so that it works whichever is right. Onsets and offsets count alike: a coder who sees a movement only when it is
under way, and loses sight of it before it is over, shifts one as much forwards as the other backwards.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.audit.finding import CHECK, NOTE, Finding
from metafacs.errors import InputError
from metafacs.faces.pictures import UNREADABLE
from metafacs.facs import intensity_column

LAGS = (-2, -1, 0, 1, 2)
"""Frames by which labels are tried to be late or early."""
SURE = 3.5
"""The gain of another lag over none, as a multiple of its standard error over people, that is called a suspicion."""
FAIRLY_SURE = 2.0
"""The same gain of no lag over its neighbours that is called reassuring."""
FEWEST_PEOPLE, FEWEST_CHANGES = 5, 60
"""With fewer people, or fewer changes of labels, nothing is said."""
SIDE = 24
"""Side of the small pictures."""
COMPONENTS = 40
"""Principal components of the small pictures that predict."""
RIDGE = 0.1
WINDOW = 2
"""Frames on each side whose mean prediction is compared."""
SHORTEST = 2 * (WINDOW + max(LAGS)) + 2
MOST_FRAMES, MOST_OF_ONE = 20_000, 1_000
"""Frames looked at, of everybody and of one stretch."""
FOLDS = 3
EVERY = 250

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LagFit:
    """How well label changes fit changes in pictures, by lag.

    Attributes:
        fits: (people, lags) covariance of the change of labels with that of predictions.
        changes: changes of labels that were looked at.
        frames: pictures that were looked at.
    """

    fits: Values
    changes: int
    frames: int

    @property
    def enough(self) -> bool:
        """Whether there is enough to say anything."""
        return len(self.fits) >= FEWEST_PEOPLE and self.changes >= FEWEST_CHANGES

    @property
    def best(self) -> int:
        """The lag that fits best."""
        return LAGS[int(self.fits.mean(axis=0).argmax())] if len(self.fits) else 0

    def gain(self, lag: int, over: int) -> float:
        """By how many standard errors one lag fits better than another, over people."""
        difference = self.fits[:, LAGS.index(lag)] - self.fits[:, LAGS.index(over)]
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        return float(difference.mean() / error) if error > 0 else 0.0


def fit_lags(
    dataset: PreparedDataset, rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> LagFit:
    """Compares changes of labels with changes of pictures where frames follow each other without a gap.

    Args:
        dataset: AU recordings.
        rows: its rows.
        progress: is told (pictures looked at, pictures in all).
    """
    chosen = stretches(rows)
    levels = _levels(rows, dataset.aus)
    total, done = sum(map(len, chosen)), 0
    pictures = []
    for stretch in chosen:
        seen = np.empty((len(stretch), SIDE * SIDE), np.float32)
        for place, row in enumerate(stretch):
            seen[place] = _small(dataset, int(row))
            done += 1
            if progress and (done % EVERY == 0 or done == total):
                progress(done, total)
        pictures.append(seen)
    names = rows["subject"].astype(str).to_numpy()
    return fit([names[own[0]] for own in chosen], pictures, [levels[own] for own in chosen])


def fit(people: Sequence[str], pictures: Sequence[NDArray[np.float32]], levels: Sequence[Values]) -> LagFit:
    """The fit from arrays.

    Args:
        people: whose each stretch is.
        pictures: (n, pixels) of each stretch.
        levels: (n, A) labels or intensities of each stretch, NaN where unknown.
    """
    names = sorted(set(people))
    frames = sum(map(len, pictures))
    spread = _spread(levels)
    kept = np.flatnonzero(spread > 0)
    if len(names) < FOLDS or not len(kept):
        return LagFit(np.zeros((0, len(LAGS))), 0, frames)
    scaled = [own[:, kept] / spread[kept] for own in levels]
    parts = np.array([names.index(name) % FOLDS for name in people])
    predicted = _predict(_components(pictures), scaled, parts)
    fits, weight, changes = np.zeros((len(names), len(LAGS))), np.zeros(len(names)), 0
    skill = _skill(predicted, scaled)
    for name, guess, true in zip(people, predicted, scaled, strict=True):
        own, moved = _covariances(guess, true, skill)
        fits[names.index(name)] += own
        weight[names.index(name)] += moved
        changes += moved
    active = weight > 0
    return LagFit(fits[active] / weight[active, None], changes, frames)


def check_lag(found: LagFit) -> list[Finding]:
    """A suspicion, or that there is none."""
    if not found.enough:
        return []
    best = found.best
    gain = found.gain(best, 0)
    about = f"{found.changes:,} changes of labels of {len(found.fits)} people"
    if best and gain >= SURE:
        where = f"{abs(best)} frame{'s' if abs(best) > 1 else ''} {'later' if best > 0 else 'earlier'}"
        text = (
            f"off by one? Labels fit the pictures {where} better than their own ({gain:.1f} standard errors; {about})"
        )
        action = "look at labels beside pictures; are pictures counted from 0 and labels from 1, or the reverse?"
        return [Finding(CHECK, "off by one", text, action)]
    sure = min(found.gain(0, -1), found.gain(0, 1))
    if best == 0 and sure >= FAIRLY_SURE:
        text = f"labels fit their own pictures best, by {sure:.1f} standard errors or more ({about})"
        return [Finding(NOTE, "off by one", text)]
    return [Finding(NOTE, "off by one", f"pictures do not tell whether labels are shifted ({about})")]


def stretches(rows: pd.DataFrame) -> list[NDArray[np.int_]]:
    """Row numbers of frames that follow each other without a gap; people take turns until there are enough."""
    keys = (rows["subject"].astype(str) + "\0" + rows["sequence"].astype(str)).to_numpy()
    frames = rows["frame"].fillna(-1).to_numpy(np.int64)
    breaks = np.flatnonzero((keys[1:] != keys[:-1]) | (np.diff(frames) != 1)) + 1
    by_person: dict[str, list[NDArray[np.int_]]] = {}
    for own in np.split(np.arange(len(rows)), breaks):
        for begin in range(0, len(own), MOST_OF_ONE):
            piece = own[begin : begin + MOST_OF_ONE]
            if len(piece) >= SHORTEST:
                by_person.setdefault(str(rows["subject"].iloc[piece[0]]), []).append(piece)
    chosen: list[NDArray[np.int_]] = []
    for turn in zip_longest(*by_person.values()):
        for piece in turn:
            if piece is not None and sum(map(len, chosen)) + len(piece) <= MOST_FRAMES:
                chosen.append(piece)
    return chosen


def _levels(rows: pd.DataFrame, aus: Sequence[str]) -> Values:
    """Intensities where an AU has them, else its labels; NaN where unknown."""
    names = [name if rows[name].notna().any() else au for au in aus for name in (intensity_column(au),)]
    if not names:
        return np.zeros((len(rows), 0))
    return np.stack([rows[name].astype("Float64").to_numpy(np.float64, na_value=np.nan) for name in names], axis=1)


def _small(dataset: PreparedDataset, row: int) -> NDArray[np.float32]:
    """A small grey picture; one that cannot be read is black."""
    try:
        with Image.open(io.BytesIO(dataset.image_bytes(row))) as picture:
            picture.draft("L", (2 * SIDE, 2 * SIDE))  # decodes a fraction of the JPEG, which is much faster
            grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            return np.asarray(grey, np.float32).ravel()
    except (InputError, *UNREADABLE):
        return np.zeros(SIDE * SIDE, np.float32)


def _spread(levels: Sequence[Values]) -> Values:
    """Standard deviation of each AU; 0 where nothing is known."""
    every = np.concatenate(levels) if levels else np.zeros((0, 0))
    known = ~np.isnan(every)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, every, 0).sum(axis=0) / count
    return np.sqrt((np.where(known, every - mean, 0) ** 2).sum(axis=0) / count)


def _components(pictures: Sequence[NDArray[np.float32]]) -> list[Values]:
    """Principal components of what changes within each stretch, scaled alike."""
    moved = [own - own.mean(axis=0) for own in pictures]
    every = np.concatenate(moved)
    _, vectors = np.linalg.eigh(every.T.astype(np.float64) @ every)
    axes = vectors[:, ::-1][:, :COMPONENTS]
    shown = [own @ axes for own in moved]
    scale = np.concatenate(shown).std(axis=0)
    return [own / np.where(scale > 0, scale, 1) for own in shown]


def _predict(inputs: Sequence[Values], levels: Sequence[Values], parts: NDArray[np.int_]) -> list[Values]:
    """Predictions of each stretch from what the people of the other parts teach."""
    goals = [_blurred(_deviation(own)) for own in levels]
    out: list[Values] = [np.zeros(own.shape) for own in goals]
    for part in range(FOLDS):
        seen = [k for k in range(len(inputs)) if parts[k] != part]
        if not seen:
            continue
        x, y = np.concatenate([inputs[k] for k in seen]), np.concatenate([goals[k] for k in seen])
        weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
        for k in np.flatnonzero(parts == part).tolist():
            out[k] = inputs[k] @ weights
    return out


def _deviation(levels: Values) -> Values:
    """From the mean of the stretch; 0 where unknown."""
    known = ~np.isnan(levels)
    mean = np.where(known, levels, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, levels - mean, 0)


def _blurred(values: Values) -> Values:
    """The mean over all lags, in time; as if what lies beyond the ends were 0."""
    kernel = np.ones(len(LAGS)) / len(LAGS)
    return np.stack([np.convolve(column, kernel, "same") for column in values.T], axis=1)


def _skill(predicted: Sequence[Values], levels: Sequence[Values]) -> Values:
    """Correlation of each AU's prediction with its labels, at least 0: what is guessed badly counts for little."""
    guess, true = np.concatenate(predicted), np.concatenate([_blurred(_deviation(own)) for own in levels])
    norm = np.sqrt((guess**2).sum(axis=0) * (true**2).sum(axis=0))
    return np.clip((guess * true).sum(axis=0) / np.where(norm > 0, norm, 1), 0, None)


def _covariances(guess: Values, true: Values, skill: Values) -> tuple[Values, int]:
    """The fit of one stretch at every lag, and its number of changes."""
    step = np.nan_to_num(np.diff(true, axis=0))
    edge = WINDOW + max(LAGS)
    at = np.arange(edge - 1, len(true) - edge)
    total = np.concatenate([np.zeros((1, guess.shape[1])), np.cumsum(guess, axis=0)])
    out = np.zeros(len(LAGS))
    for place, lag in enumerate(LAGS):
        middle = at + lag + 1
        rise = total[middle + WINDOW] - 2 * total[middle] + total[middle - WINDOW]
        out[place] = float((rise * step[at] * skill).sum())
    return out, int((step[at] != 0).sum())
