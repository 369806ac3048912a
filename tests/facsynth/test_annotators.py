import numpy as np
import pytest

from facsynth.annotators import ANNOTATORS, SHARES, chances, draw_labelled, draw_panel, evidence, vote
from facsynth.emotion import CAUSES, DEFAULT_CAUSES, EMOTIONAL, Emotion, draw_emotion
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import EMFACS, EXPRESSIONS

# Counts and mean shares of the majority in percent, as FERPlus' ten annotators voted, by `EXPRESSIONS`.
FERPLUS_COUNTS = np.array([13013, 9367, 4493, 4415, 3124, 253, 825])
FERPLUS_SHARES = dict(zip(EXPRESSIONS, (69.6, 89.5, 72.2, 66.2, 65.2, 48.3, 57.9), strict=True))
FERPLUS_PERCENTILES = {5: 0.40, 10: 0.40, 25: 0.60, 50: 0.80, 75: 0.90, 90: 1.00}

Voted = tuple[str, str, Emotion, np.ndarray]


def collect(count: int, shares: np.ndarray) -> list[Voted]:
    panel, out = draw_panel(0), []
    chance = [1 - sum(DEFAULT_CAUSES.values()), *(DEFAULT_CAUSES[cause] for cause in CAUSES[1:])]
    for number in range(count):
        rng = np.random.default_rng([5, number])
        label = str(rng.choice(EXPRESSIONS, p=shares / shares.sum()))
        cause = str(rng.choice(CAUSES, p=chance))
        out.append((label, cause, *draw_labelled(rng, panel, label, cause, shares.tolist())))
    return out


@pytest.fixture(scope="module")
def like_ferplus() -> list[Voted]:
    return collect(700, FERPLUS_COUNTS / FERPLUS_COUNTS.sum())


@pytest.fixture(scope="module")
def even() -> list[Voted]:
    return collect(700, np.ones(len(EXPRESSIONS)))


def mean_votes(voted: list[Voted], label: str) -> dict[str, float]:
    share = np.mean([votes for name, _, _, votes in voted if name == label], axis=0) / ANNOTATORS
    return dict(zip(EXPRESSIONS, share, strict=True))


def consistency(voted: list[Voted], cause: str) -> float:
    return float(np.mean([votes.max() for _, why, _, votes in voted if why == cause]) / ANNOTATORS)


def full(expression: str) -> Emotion:
    strengths = np.zeros(len(RIG_AUS))
    strengths[[RIG_AUS.index(au) for au in EMFACS[expression]]] = 1
    return Emotion(expression, 1.0, None, "clear", strengths, (0.0, 0.0), (0.0, 0.0, 0.0), np.zeros(len(RIG_AUS)))


def test_everybody_votes_once_and_the_label_has_most_votes(even: list[Voted]) -> None:
    for label, cause, emotion, votes in even:
        assert votes.sum() == ANNOTATORS and votes.dtype.kind == "i"
        assert votes[EXPRESSIONS.index(label)] == votes.max()
        assert emotion.cause == cause


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_full_expression_is_read_as_what_it_is(expression: str) -> None:
    assert evidence(full(expression)).argmax() == EXPRESSIONS.index(expression)
    assert chances(full(expression), draw_panel(0)).mean(axis=0).argmax() == EXPRESSIONS.index(expression)


def test_annotators_agree_as_those_of_ferplus(like_ferplus: list[Voted]) -> None:
    shares = [votes.max() / ANNOTATORS for *_, votes in like_ferplus]
    for percentile, expected in FERPLUS_PERCENTILES.items():
        assert np.percentile(shares, percentile) == pytest.approx(expected, abs=0.08)


def test_each_expression_is_agreed_upon_as_in_ferplus(even: list[Voted]) -> None:
    own = {name: 100 * mean_votes(even, name)[name] for name in EXPRESSIONS}
    for name, percent in FERPLUS_SHARES.items():
        assert own[name] == pytest.approx(percent, abs=8)
    assert max(own, key=own.__getitem__) == "happiness"
    assert set(sorted(own, key=own.__getitem__)[:2]) == {"fear", "disgust"}


def test_hazards_make_annotators_disagree(even: list[Voted]) -> None:
    clear = consistency(even, "clear")
    for cause in ("weak", "blend", "gaze", "head pose"):
        assert consistency(even, cause) < clear - 0.08
    assert consistency(even, "wrong label") > clear - 0.08


def test_a_wrong_label_has_the_votes_of_another_clear_face(even: list[Voted]) -> None:
    panel = draw_panel(0)
    wrong = [(label, emotion) for label, cause, emotion, _ in even if cause == "wrong label"]
    assert len(wrong) > 5
    for label, emotion in wrong:
        assert emotion.expression != label
        read = chances(emotion, panel).mean(axis=0)
        assert read[EXPRESSIONS.index(emotion.expression)] > read[EXPRESSIONS.index(label)]


def test_an_unreadable_face_is_labelled_at_random() -> None:
    panel, names, shares = draw_panel(0), [], []
    for number in range(350):
        rng = np.random.default_rng([6, number])
        votes, name = vote(draw_emotion(rng, "unreadable", "happiness"), panel, rng)
        names.append(name)
        shares.append(votes.max() / ANNOTATORS)
    assert min(names.count(name) for name in EXPRESSIONS) > 25
    assert np.mean(shares) < 0.4


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("label", EXPRESSIONS)
def test_any_label_can_be_had_with_any_cause(label: str, cause: str) -> None:
    emotion, votes = draw_labelled(np.random.default_rng(2), draw_panel(0), label, cause, SHARES)
    assert votes.argmax() == EXPRESSIONS.index(label) or (votes == votes.max()).sum() > 1
    assert not (cause in EMOTIONAL and emotion.expression == "neutral")


def test_the_same_random_numbers_give_the_same_votes() -> None:
    panel = draw_panel(4)
    one, other = (draw_labelled(np.random.default_rng(7), panel, "fear", "blend") for _ in range(2))
    assert np.array_equal(one[0].strengths, other[0].strengths) and np.array_equal(one[1], other[1])


def test_what_cannot_be_drawn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, panel = np.random.default_rng(0), draw_panel(0)
    with pytest.raises(InputError, match="'bored' is not an expression"):
        draw_labelled(rng, panel, "bored", "clear")
    with pytest.raises(InputError, match="7 numbers of 0 or more"):
        draw_labelled(rng, panel, "fear", "clear", (1.0, -1.0))
    only_neutral = [1.0, *[0.0] * 6]
    with pytest.raises(InputError, match="larger share"):
        draw_labelled(rng, panel, "fear", "weak", only_neutral)
    with pytest.raises(InputError, match="only neutral is ever meant"):
        draw_labelled(rng, panel, "neutral", "wrong label", only_neutral)
    monkeypatch.setattr("facsynth.annotators.DRAWS", 50)
    with pytest.raises(InputError, match="of 50 faces"):
        draw_labelled(rng, panel, "disgust", "clear", [0.0, 1.0, *[0.0] * 5])
