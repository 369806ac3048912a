import numpy as np
import pytest

from facsynth.emotion import CAUSES, DEFAULT_CAUSES, EMOTIONAL, IDLE, WEAK, cues, draw_emotion
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS

PAIRS = [(cause, name) for cause in CAUSES for name in EXPRESSIONS if name != "neutral" or cause not in EMOTIONAL]


def at(strengths: np.ndarray, au: int) -> float:
    return float(strengths[RIG_AUS.index(au)])


@pytest.mark.parametrize(("cause", "expression"), PAIRS)
def test_emotions_are_what_their_cause_says(cause: str, expression: str) -> None:
    for number in range(20):
        emotion = draw_emotion(np.random.default_rng([1, number]), cause, expression)
        assert (emotion.cause, emotion.expression) == (cause, expression)
        assert emotion.strengths.shape == emotion.asymmetry.shape == (len(RIG_AUS),)
        assert emotion.strengths.min() >= 0 and emotion.strengths.max() <= 1
        assert (emotion.second is not None) == (cause == "blend") and emotion.second != expression
        assert np.abs(emotion.gaze).max() < 0.8 and np.abs(emotion.pose).max() < 0.6
        if cause in ("gaze", "head pose"):
            assert emotion.strengths.max() <= IDLE and emotion.strength == 0
        else:
            assert emotion.pose == (0, 0, 0)
        if cause == "weak":
            assert 0 < emotion.strength < WEAK
        if cause in ("clear", "blend", "wrong label") and expression != "neutral":
            assert emotion.strength >= WEAK and emotion.strengths.max() > 0.3


@pytest.mark.parametrize("cause", ["gaze", "head pose"])
@pytest.mark.parametrize("expression", EXPRESSIONS[1:])
def test_eyes_and_head_alone_tell_the_emotion(cause: str, expression: str) -> None:
    rngs = [np.random.default_rng([2, number]) for number in range(100)]
    seen = [cues(emotion.gaze, emotion.pose) for emotion in (draw_emotion(rng, cause, expression) for rng in rngs)]
    assert np.mean([cue.argmax() == EXPRESSIONS.index(expression) for cue in seen]) > 0.9
    assert cues((0.0, 0.0), (0.0, 0.0, 0.0)).max() < 0.05


def test_pressed_lips_do_not_part() -> None:
    for number in range(100):
        face = draw_emotion(np.random.default_rng([5, number]), "blend", "anger").strengths
        assert min(at(face, 24), max(at(face, 25), at(face, 26), at(face, 27))) <= IDLE


def test_shares_of_the_causes_leave_most_faces_clear() -> None:
    assert set(DEFAULT_CAUSES) == set(CAUSES) - {"clear"}
    assert 0.5 < 1 - sum(DEFAULT_CAUSES.values()) < 1


def test_impossible_emotions_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="'boredom' is not an expression"):
        draw_emotion(rng, "clear", "boredom")
    with pytest.raises(InputError, match="'sun' is not a cause"):
        draw_emotion(rng, "sun", "fear")
    with pytest.raises(InputError, match="neutral face cannot be of the cause 'gaze'"):
        draw_emotion(rng, "gaze", "neutral")
