import numpy as np
import pytest

from metafacs.facs import EMFACS, EXPRESSIONS
from metafacs.synth.annotators import ANNOTATORS, Emotion, chances, draw_emotion, draw_panel, evidence, prototype, vote
from metafacs.synth.rig import RIG_AUS

# Share of the majority in percent, as FERPlus' ten annotators voted.
FERPLUS = {"neutral": 69.6, "happiness": 89.5, "surprise": 72.2, "sadness": 66.2, "anger": 65.2, "disgust": 48.3}


@pytest.fixture(scope="module")
def voted() -> list[tuple[Emotion, np.ndarray, str]]:
    panel, out = draw_panel(0), []
    for number in range(2500):
        rng = np.random.default_rng([5, number])
        emotion = draw_emotion(rng)
        out.append((emotion, *vote(emotion, panel, rng)))
    return out


def mean_votes(voted: list[tuple[Emotion, np.ndarray, str]], majority: str) -> dict[str, float]:
    share = np.mean([votes for _, votes, name in voted if name == majority], axis=0) / ANNOTATORS
    return dict(zip(EXPRESSIONS, share, strict=True))


def full(expression: str) -> np.ndarray:
    strengths = np.zeros(len(RIG_AUS))
    strengths[[RIG_AUS.index(au) for au in EMFACS[expression]]] = 1
    return strengths


def test_everybody_votes_once_and_the_majority_wins(voted: list[tuple[Emotion, np.ndarray, str]]) -> None:
    for _, votes, name in voted:
        assert votes.sum() == ANNOTATORS
        assert votes[EXPRESSIONS.index(name)] == votes.max()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_full_expression_is_read_as_what_it_is(expression: str) -> None:
    assert evidence(full(expression)).argmax() == EXPRESSIONS.index(expression)
    assert chances(full(expression), draw_panel(0)).mean(axis=0).argmax() == EXPRESSIONS.index(expression)


def test_annotators_agree_about_as_much_as_real_ones(voted: list[tuple[Emotion, np.ndarray, str]]) -> None:
    for name, percent in FERPLUS.items():
        assert 100 * mean_votes(voted, name)[name] == pytest.approx(percent, abs=20)
    assert mean_votes(voted, "happiness")["happiness"] > mean_votes(voted, "disgust")["disgust"]


def test_annotators_confuse_what_is_ambiguous(voted: list[tuple[Emotion, np.ndarray, str]]) -> None:
    fear, disgust, sadness = (mean_votes(voted, name) for name in ("fear", "disgust", "sadness"))
    assert fear["surprise"] > 3 * fear["happiness"]
    assert disgust["anger"] > 3 * disgust["happiness"]
    assert sadness["neutral"] > 3 * sadness["happiness"]


def test_weak_expressions_pass_for_neutral() -> None:
    seen = chances(np.stack([full("anger")])[0] * 0.15, draw_panel(0)).mean(axis=0)
    assert seen.argmax() == EXPRESSIONS.index("neutral")


def test_causes_tell_how_much_annotators_disagree(voted: list[tuple[Emotion, np.ndarray, str]]) -> None:
    agreement = {
        cause: np.mean([votes.max() for emotion, votes, _ in voted if emotion.cause == cause]) / ANNOTATORS
        for cause in ("clear", "weak", "blend")
    }
    assert agreement["clear"] > agreement["blend"] and agreement["clear"] > agreement["weak"]


def test_an_unreadable_face_shows_nothing_and_is_labelled_at_random() -> None:
    panel, names, shares = draw_panel(0), [], []
    for number in range(700):
        rng = np.random.default_rng([6, number])
        emotion = draw_emotion(rng, readable=False)
        votes, name = vote(emotion, panel, rng)
        assert emotion.cause == "unreadable" and emotion.strength < 0.1
        names.append(name)
        shares.append(votes.max() / ANNOTATORS)
    assert min(names.count(name) for name in EXPRESSIONS) > 60
    assert np.mean(shares) < 0.4


def test_prototypes_never_drop_out_entirely() -> None:
    for number in range(200):
        assert prototype("happiness", 0.8, np.random.default_rng(number)).max() > 0.5
    assert not prototype("neutral", 1.0, np.random.default_rng(0)).any()
