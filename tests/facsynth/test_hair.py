from dataclasses import replace

import pytest

from facsynth.hair import STYLES, Cut, hair_of
from facsynth.head import Head

CUT = Cut("short", 0.196, 0.005, -0.064, 0.1, 0.0, 0.0, 0.01, 0.0)


@pytest.mark.parametrize("style", STYLES)
def test_brows_eyes_nose_and_mouth_are_never_covered(style: str, head: Head) -> None:
    cut = replace(CUT, style=style, line=0.187, fringe=0.032 if style == "fringe" else 0.0)
    points = head.landmarks[17:]
    assert (hair_of(head, cut)[points] < -0.002).all()
