import numpy as np
import pytest
from numpy.typing import NDArray

from facsynth.head import SKIN, Head
from facsynth.identity import draw_person
from facsynth.rig import RIG_AUS, action_weights, rig_matrix

Points = NDArray[np.floating]
AHEAD = np.array([0.0, -1.0, 0.0])
VIEWS = (AHEAD, np.array([0.4, -1.0, 0.0]), np.array([-0.4, -1.0, 0.0]), np.array([0.0, -1.0, -0.3]))


def teeth_of(face: Points, head: Head) -> Points:
    return face[..., -len(head.teeth.points) :, :]


def express(head: Head, rest: NDArray[np.float32], **strengths: float) -> Points:
    """The face where AUs, named au12 and so on, act on both sides."""
    acting = np.zeros((1, 2, len(RIG_AUS)))
    for name, strength in strengths.items():
        acting[..., RIG_AUS.index(int(name[2:]))] = strength
    return head.express(rest, action_weights(acting, rig_matrix(head.action_labels)))[0]


def covered(head: Head, face: Points, view: Points) -> NDArray[np.bool_]:
    """(t,) whether skin lies before each vertex of the teeth, seen from far away in the direction `view`."""
    middle = head.template[head.faces].mean(axis=1)
    near = (np.abs(middle[:, 0]) < 0.04) & (np.abs(middle[:, 2] - 0.07) < 0.03) & (middle[:, 1] < -0.1)
    a, b, c = (face[head.faces[(head.material == SKIN) & near, k]].astype(float) for k in range(3))
    edge, other = b - a, c - a
    across = np.cross(view, other)
    size = (edge * across).sum(axis=1)
    start = teeth_of(face, head).astype(float)[:, None] - a
    u = np.einsum("tfc,fc->tf", start, across) / size
    turned = np.cross(start, edge)
    v = turned @ view / size
    distance = np.einsum("tfc,fc->tf", turned, other) / size
    return np.asarray(((u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)).any(axis=1))


@pytest.mark.slow
def test_resting_lips_hide_everybodys_teeth(head: Head) -> None:
    for number in range(40):
        rest = draw_person(head, np.random.default_rng([number, 77])).rest
        for view in VIEWS:
            assert covered(head, rest, view).all(), f"person {number} seen from {view}"


def test_closed_mouths_hide_the_teeth(head: Head) -> None:
    rest = draw_person(head, np.random.default_rng([0, 77])).rest
    for au in (6, 12, 14, 15, 17, 18, 24):
        face = express(head, rest, **{f"au{au}": 0.8})
        assert covered(head, face, AHEAD).mean() > 0.99, f"AU{au}"


@pytest.mark.parametrize(
    ("acting", "lower"),
    [({"au25": 1}, False), ({"au26": 1}, True), ({"au27": 1}, True), ({"au16": 1}, True), ({"au10": 1}, False)],
    ids=["AU25", "AU26", "AU27", "AU16", "AU10"],
)
def test_parted_lips_show_teeth(acting: dict[str, float], lower: bool, head: Head) -> None:
    seen = ~covered(head, express(head, head.rest({}, {}), **acting), AHEAD)
    assert seen[head.teeth.lower == lower].sum() > 5


def test_the_lower_row_goes_with_the_jaw_and_the_upper_stays(head: Head) -> None:
    rest = head.rest({}, {})
    moved = teeth_of(express(head, rest, au27=1) - rest, head)
    assert np.abs(moved[~head.teeth.lower]).max() == 0
    assert (moved[head.teeth.lower, 2] < -0.01).all()
    assert np.abs(teeth_of(express(head, rest, au12=1, au4=1, au43=1) - rest, head)).max() == 0
