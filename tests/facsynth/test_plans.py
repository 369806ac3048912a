from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facsynth.plans import AuPlan, Clip, FePlan, Subject, au_chunks, divide, plan_settings, seeds
from metafacs.errors import InputError

AU = AuPlan("a", "", (Subject("S1", "P1", (Clip("T1", 3), Clip("T2", 4))), Subject("S2", "P2", (Clip("T1", 2),))), (1,))
FE = FePlan("f", "", {"train": {"fear": 2}, "test": {"anger": 1}}, {"weak": 0.5})


@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_numbers_are_divided_without_loss(total: int, weights: list[float]) -> None:
    found = divide(total, weights)
    assert sum(found) == total
    for number, weight in zip(found, weights, strict=True):
        assert abs(number - total * weight / sum(weights)) < 1


def test_chunks_hold_every_frame_once() -> None:
    assert list(au_chunks(AU, 3)) == [(0, 0, 3), (0, 3, 6), (0, 6, 7), (1, 0, 2)]


def test_any_change_of_a_plan_changes_its_settings() -> None:
    others = [replace(AU, step=0.1), replace(AU, rates={1: 0.5}), replace(AU, subjects=AU.subjects[:1])]
    assert len({plan_settings(plan)["plan"] for plan in (AU, *others)}) == 4
    assert plan_settings(AU) == plan_settings(replace(AU))


def test_datasets_of_other_names_have_other_seeds() -> None:
    assert seeds(AU, 3)[0] == 3 and seeds(AU, 3) != seeds(replace(AU, name="b"), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aus": (1, 99)}, "cannot render AU 99"),
        ({"aus": ()}, "no AU was asked for"),
        ({"aus": (1, 1)}, "AU 1 is named twice"),
        ({"subjects": ()}, "without a single frame"),
        ({"subjects": (Subject("S1", "P1", (Clip("T1", 0),)),)}, "without a single frame"),
        ({"subjects": AU.subjects[:1] * 2}, "names a person twice"),
        ({"step": 0.0}, "0.0 seconds between frames"),
        ({"coder_noise": -1.0}, "coder_noise is -1.0"),
        ({"coder_noise": float("nan")}, "coder_noise is nan"),
    ],
)
def test_impossible_au_plans_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(AU, **change).check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {"train": {}}}, "0 images"),
        ({"counts": {"train": {"smile": 3}}}, "unknown expressions: smile"),
        ({"causes": {"weak": 1.5}}, "whose cause is 'weak' is 1.5"),
        ({"causes": {"weak": float("nan")}}, "whose cause is 'weak' is nan"),
        ({"causes": {"weak": 0.6, "blend": 0.6}}, "add up to more than 1: weak 0.6, blend 0.6"),
    ],
)
def test_impossible_fe_plans_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(FE, **change).check()
