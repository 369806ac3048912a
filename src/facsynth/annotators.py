"""Forty simulated annotators: how each reads a face, where each errs, and what they vote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facsynth.emotion import EMOTIONAL, Emotion, cues, draw_emotion, prototype
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import EMFACS_OPTIONAL, EXPRESSIONS

__all__ = ["ANNOTATORS", "SHARES", "Panel", "chances", "draw_labelled", "draw_panel", "evidence", "prototype", "vote"]

ANNOTATORS = 40
"""How many annotators vote on every image."""

SHARES = (0.22, 0.2, 0.13, 0.13, 0.12, 0.1, 0.1)
"""How often each of `EXPRESSIONS` is meant."""

DRAWS = 20_000
"""How many faces `draw_labelled` draws at most until one gets the label asked for."""

# Percent of the votes in FERPlus by majority (row) and vote (column), without contempt, unknown and no face.
_FERPLUS = np.array(
    [
        [69.6, 3.2, 2.1, 11.3, 3.2, 1.1, 0.8],  # neutral
        [4.1, 89.5, 2.6, 0.6, 0.7, 0.3, 0.3],  # happiness
        [6.0, 3.6, 72.2, 1.5, 2.4, 0.5, 9.4],  # surprise
        [15.8, 1.5, 1.3, 66.2, 3.2, 1.6, 2.1],  # sadness
        [7.5, 2.9, 6.0, 3.9, 65.2, 4.2, 2.9],  # anger
        [10.0, 2.0, 2.5, 9.5, 11.8, 48.3, 1.8],  # disgust
        [5.3, 1.6, 15.9, 7.5, 4.0, 1.6, 57.9],  # fear
    ]
)
# Real faces differ in how clear they are, and so do ours: only a part of the disagreement is the annotators' own.
_OWN_SHARE = (0.2, 0.2, 0.5, 0.6, 0.65, 1.0, 0.8)
_STEADINESS = 30.0  # of Dirichlet draws: the greater, the more alike the annotators' confusions
_KEENNESS = (2.75, 0.25)  # mean and standard deviation of its logarithm
_LEANING = 0.3  # standard deviation
_LAPSES = (1.0, 45.0)  # of a beta distribution: the share of an annotator's votes that is random

# What each expression is read from: the weights of its AUs, which add up to 1; and how readily it is seen.
_SIGNS: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "happiness": {12: 0.75, 6: 0.25},
        "surprise": {1: 0.25, 2: 0.25, 5: 0.2, 26: 0.3},
        "sadness": {1: 0.3, 4: 0.25, 15: 0.45},
        "anger": {4: 0.35, 5: 0.15, 7: 0.2, 23: 0.3},
        "disgust": {9: 0.65, 15: 0.35},
        "fear": {1: 0.15, 2: 0.1, 4: 0.15, 5: 0.2, 7: 0.1, 20: 0.2, 25: 0.1},
    }
)
_SALIENCE = (0.0, 1.4, 1.0, 1.0, 1.0, 1.0, 1.0)
_INSTEAD = {24: 23, 27: 26}  # AUs that tell what another one tells
_BAR = 0.285  # evidence above which an emotion is more likely seen than none
_CUE = np.array([0.0, 0.4, 0.38, 0.4, 0.4, 0.48, 0.38])  # evidence where gaze or head pose tell as much as they can

Vector = NDArray[np.float64]
Votes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Panel:
    """The annotators of a dataset.

    Attributes:
        keenness: (40,) how keenly each discriminates between expressions.
        leaning: (40, E) what each is inclined to see.
        confusion: (40, E, E) what each writes down (last) for what was seen; rows add up to 1.
        lapses: (40,) share of each one's votes that are given at random.
    """

    keenness: Vector
    leaning: Vector
    confusion: Vector
    lapses: Vector


def draw_panel(seed: int) -> Panel:
    """Draws the annotators of a dataset."""
    rng = np.random.default_rng([seed, 40])
    own = np.array(_OWN_SHARE)[:, None]
    rows = own * _FERPLUS / _FERPLUS.sum(axis=1, keepdims=True) + (1 - own) * np.eye(len(EXPRESSIONS))
    weights = rng.gamma(_STEADINESS * np.repeat(rows[None], ANNOTATORS, axis=0))
    return Panel(
        keenness=np.exp(rng.normal(*_KEENNESS, ANNOTATORS)),
        leaning=rng.normal(0, _LEANING, (ANNOTATORS, len(EXPRESSIONS))),
        confusion=weights / weights.sum(axis=2, keepdims=True),
        lapses=rng.beta(*_LAPSES, ANNOTATORS),
    )


def _reading() -> Vector:
    """(E, A) what each AU adds to the evidence of each expression: AUs that do not belong to it tell against it."""
    out = np.zeros((len(EXPRESSIONS), len(RIG_AUS)))
    for row, name in enumerate(EXPRESSIONS[1:], start=1):
        signs = _SIGNS[name]
        out[row] = -0.5 / max(len(signs), 3)
        for au in (*EMFACS_OPTIONAL[name], 25, 26):
            out[row, RIG_AUS.index(au)] = 0
        for au, weight in signs.items():
            out[row, RIG_AUS.index(au)] = weight
        for au, instead in _INSTEAD.items():
            if instead in signs:
                out[row, RIG_AUS.index(au)] = signs[instead]
        out[row] *= _SALIENCE[row]
    return out


_READING = _reading()


def evidence(emotion: Emotion) -> Vector:
    """(E,) how strongly each of `EXPRESSIONS` can be read from a face; neutral's is the bar to clear.

    An expression is as strong as its signs among the AUs are together, less what other AUs tell against it; where eyes
    and head point adds to it.
    """
    out = (_READING * emotion.strengths).sum(axis=1) + _CUE * cues(emotion.gaze, emotion.pose)
    out[0] = _BAR
    return np.asarray(out)


def chances(emotion: Emotion, panel: Panel) -> Vector:
    """(40, E) how likely each annotator is to choose each expression for a face.

    Annotators of an unreadable face guess.
    """
    even = np.full((ANNOTATORS, len(EXPRESSIONS)), 1 / len(EXPRESSIONS))
    if emotion.cause == "unreadable":
        return even
    score = panel.keenness[:, None] * evidence(emotion)[None] + panel.leaning
    seen = np.exp(score - score.max(axis=1, keepdims=True))
    seen /= seen.sum(axis=1, keepdims=True)
    careful = (seen[:, :, None] * panel.confusion).sum(axis=1)
    return np.asarray(careful + panel.lapses[:, None] * (even - careful))


def vote(emotion: Emotion, panel: Panel, rng: np.random.Generator) -> tuple[Votes, str]:
    """Votes of all annotators per expression (E,), and the expression with most votes; ties are broken at random."""
    choice = chances(emotion, panel)
    picked = (rng.random((ANNOTATORS, 1)) > choice.cumsum(axis=1)[:, :-1]).sum(axis=1)
    votes = np.bincount(picked, minlength=len(EXPRESSIONS))
    best = rng.choice(np.flatnonzero(votes == votes.max()))
    return votes, EXPRESSIONS[int(best)]


def draw_labelled(
    rng: np.random.Generator, panel: Panel, label: str, cause: str, shares: Sequence[float] = SHARES
) -> tuple[Emotion, Votes]:
    """Draws a face of a cause whose label, the majority's choice, is the one asked for.

    What is meant is drawn by `shares` until the majority calls it `label`, so that labels and causes can be planned
    and what is meant follows from them as in a dataset that was collected. Where the cause needs an emotion (`weak`,
    `blend`, `gaze`, `head pose`) only emotions are meant; "neutral" then is the label of those that nobody notices.
    For "wrong label" the picture is of another clear expression, and the votes are those of a clear face of the label.

    Args:
        rng: the image's own random numbers.
        panel: the annotators.
        label: one of `EXPRESSIONS`.
        cause: one of `emotion.CAUSES`.
        shares: (E,) how often each of `EXPRESSIONS` is meant; they need not add up to 1.

    Returns:
        What the picture shows, and (E,) the votes, of which `label` has most; where it shares the first place, the
        tie has been broken in its favour.

    Raises:
        InputError: shares, label or cause are impossible, or so rare together that no face was found.
    """
    weights = _weights(label, shares)
    if cause != "wrong label":
        return _draw_voted(
            rng, panel, label, cause, weights * (1 - _only("neutral")) if cause in EMOTIONAL else weights
        )
    votes = _draw_voted(rng, panel, label, "clear", _only(label))[1]
    others = weights * (1 - _only(label))
    if not others.any():
        raise InputError(f"only {label} is ever meant, so no picture can be wrong for it; give others a share too")
    shown = str(rng.choice(EXPRESSIONS, p=others / others.sum()))
    return _draw_voted(rng, panel, shown, cause, _only(shown))[0], votes


def _draw_voted(
    rng: np.random.Generator, panel: Panel, label: str, cause: str, weights: Vector
) -> tuple[Emotion, Votes]:
    """A face of a cause, meant as often as the weights say, that most annotators call `label`; and their votes."""
    if weights.any():
        for _ in range(DRAWS):
            emotion = draw_emotion(rng, cause, str(rng.choice(EXPRESSIONS, p=weights / weights.sum())))
            votes, majority = vote(emotion, panel, rng)
            if majority == label:
                return emotion, votes
    raise InputError(
        f"of {DRAWS} faces of the cause '{cause}' most annotators never called one {label}; give {label}, or "
        "what it is mistaken for, a larger share"
    )


def _weights(label: str, shares: Sequence[float]) -> Vector:
    weights = np.asarray(shares, np.float64)
    if label not in EXPRESSIONS:
        raise InputError(f"'{label}' is not an expression; there are {', '.join(EXPRESSIONS)}")
    if weights.shape != (len(EXPRESSIONS),) or not (weights >= 0).all() or not np.isfinite(weights).all():
        raise InputError(f"shares of expressions are {list(shares)}; give {len(EXPRESSIONS)} numbers of 0 or more")
    return weights


def _only(name: str) -> Vector:
    return np.array([float(name == other) for other in EXPRESSIONS])
