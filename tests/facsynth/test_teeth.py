import numpy as np
import pytest
from numpy.typing import NDArray

from facsynth.head import MOUTH, SKIN, TEETH, Head
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


def test_the_teeth_are_part_of_the_mesh(head: Head) -> None:
    own = head.faces[head.material == TEETH]
    first = len(head.template) - len(head.teeth.points)
    assert 200 < len(own) < 1000
    assert own.min() == first and own.max() == len(head.template) - 1
    assert head.faces[head.material != TEETH].max() < first
    assert head.paint[first:, 2].max() == 1 and not head.paint[:first, 2].any()
    assert not head.ball[first:].any()
    assert len(head.front) == len(head.paint) == len(head.corners) == head.actions.shape[1] == len(head.template)
    assert {array.dtype for array in (head.template, head.front, head.paint, head.ball)} == {np.dtype(np.float32)}


def test_both_rows_are_mirror_images_and_face_outwards(head: Head) -> None:
    points = 1000 * head.teeth.points
    mirrored = points * [-1, 1, 1]
    assert np.linalg.norm(points[:, None] - mirrored[None], axis=2).min(axis=1).max() < 0.2
    a, b, c = (head.template[head.faces[:, k]] for k in range(3))
    flat = np.zeros((len(head.faces) + 1, 3))
    flat[:-1] = np.cross(b - a, c - a)
    total = teeth_of(flat[head.corners].sum(axis=1), head)
    normals = total / np.linalg.norm(total, axis=1, keepdims=True)
    for row in (head.teeth.lower, ~head.teeth.lower):
        foremost = row & (points[:, 1] < points[row, 1].min() + 0.5)
        assert (normals[foremost, 1] < -0.3).all()


@pytest.mark.slow
def test_resting_lips_hide_everybodys_teeth(head: Head) -> None:
    for number in range(40):
        rest = draw_person(head, np.random.default_rng([number, 77])).rest
        for view in VIEWS:
            assert covered(head, rest, view).all(), f"person {number} seen from {view}"


def test_closed_mouths_hide_the_teeth(head: Head) -> None:
    for number in range(2):
        rest = draw_person(head, np.random.default_rng([number, 77])).rest
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


def test_a_raised_lip_shows_more_of_the_upper_teeth(head: Head) -> None:
    rest = head.rest({}, {})
    seen = [
        (~covered(head, express(head, rest, au10=strength, au12=0.7, au25=0.7), AHEAD))[~head.teeth.lower].sum()
        for strength in (0, 1)
    ]
    assert 5 < seen[0] < seen[1]


def test_the_lower_row_goes_with_the_jaw_and_the_upper_stays(head: Head) -> None:
    rest = head.rest({}, {})
    moved = teeth_of(express(head, rest, au27=1) - rest, head)
    assert np.abs(moved[~head.teeth.lower]).max() == 0
    assert (moved[head.teeth.lower, 2] < -0.01).all()
    assert np.abs(teeth_of(express(head, rest, au12=1, au4=1, au43=1) - rest, head)).max() == 0


def test_teeth_stay_behind_the_walls_of_the_mouth_of_another_face(head: Head) -> None:
    rest = head.rest({"gender": 1.0, "age": 0.9}, {"mouth-trans-up": -1.0})
    walls = np.unique(head.faces[head.material == MOUTH])
    shift = teeth_of(rest - head.template, head).mean(axis=0)
    lips = walls[head.template[walls, 1] < -0.125]
    assert np.linalg.norm(shift) > 0.002
    assert np.linalg.norm(shift - (rest - head.template)[lips].mean(axis=0)) < 0.003
