from dataclasses import replace

import numpy as np
import pytest

from facsynth.hair import STYLES, Cut, draw_cut, hair_of, inside_hair, paint_edge
from facsynth.head import SKIN, Head
from facsynth.texture import TEXTURE

CUT = Cut("short", 0.196, 0.005, -0.064, 0.1, 0.0, 0.0, 0.01, 0.0)


def at(cut: Cut, x: float, y: float, z: float) -> float:
    return float(inside_hair(cut, np.array([x]), np.array([y]), np.array([z]))[0])


def test_hair_grows_on_top_and_behind_but_not_on_the_face_or_the_ears() -> None:
    assert at(CUT, 0, -0.03, 0.24) > 0.02
    assert at(CUT, 0.05, 0.04, 0.15) > 0.01
    assert at(CUT, 0, -0.13, 0.17) < -0.01
    assert at(CUT, 0.06, -0.09, 0.12) < -0.01
    assert at(CUT, 0.08, -0.03, 0.12) < 0
    assert at(replace(CUT, style="covering"), 0.08, -0.03, 0.12) > 0.01


def test_styles_are_what_they_are_called() -> None:
    top, forehead = (0, -0.05, 0.235), (0.02, -0.135, 0.182)
    assert at(replace(CUT, style="bald on top"), *top) < -0.01 < 0.01 < at(CUT, *top)
    assert at(replace(CUT, style="none"), *top) < -0.05
    assert 0 < at(replace(CUT, style="shaved"), *top) < 0.002
    assert at(replace(CUT, style="fringe", fringe=0.03), *forehead) > 0 > at(CUT, *forehead)


@pytest.mark.parametrize("style", STYLES)
def test_brows_eyes_nose_and_mouth_are_never_covered(style: str, head: Head) -> None:
    cut = replace(CUT, style=style, line=0.187, fringe=0.032 if style == "fringe" else 0.0)
    points = head.landmarks[17:]
    assert (hair_of(head, cut)[points] < -0.002).all()


def test_only_skin_has_hair(head: Head) -> None:
    hair = hair_of(head, CUT)
    skin = np.unique(head.faces[head.material == SKIN])
    others = np.setdiff1d(np.arange(len(hair)), skin)
    assert (hair[others] < 0).all() and (hair[skin] > 0).mean() > 0.1


def test_men_lose_their_hair_with_age_and_women_do_not() -> None:
    def bald(male: float, years: float) -> float:
        cuts = [draw_cut(np.random.default_rng(s), male, years) for s in range(200)]
        return float(np.mean([cut.style in ("none", "receding", "bald on top") for cut in cuts]))

    assert bald(1.0, 75) > 2 * bald(1.0, 20)
    assert bald(0.0, 75) < 0.05
    assert {draw_cut(np.random.default_rng(s), s % 2, 60).style for s in range(300)} == set(STYLES)


def test_the_edge_of_the_hair_is_soft_and_ragged(head: Head) -> None:
    """Going down the forehead, the cover fades over millimetres, at another height in every column."""
    texture = np.ones((TEXTURE, TEXTURE, 3), np.float32)
    paint_edge(np.random.default_rng(0), head, CUT, np.zeros(3), texture)
    columns = texture[60:160, TEXTURE // 2 - 30 : TEXTURE // 2 + 30, 0]
    assert columns[-1].min() == 1
    partly = ((columns > 0.15) & (columns < 0.85)).sum(axis=0)
    assert partly.mean() > 3
    assert (columns < 0.5).sum(axis=0).std() > 0.7
