import numpy as np
import pytest

from facsynth.head import Head
from facsynth.rig import KNEE, LIMIT, RIG_AUS, action_weights, rig_matrix
from metafacs.facs import ACTION_UNITS, AU_SETS, EMFACS, EMFACS_OPTIONAL

# Where an AU shows: landmarks (iBUG, from 0) of the person's left, and the direction they move (right, up, back).
MOVES = {
    1: ([22], 2, 1),
    2: ([25, 26], 2, 1),
    4: ([22, 23], 2, -1),
    5: ([43, 44], 2, 1),
    9: ([31, 35], 2, 1),
    7: ([46, 47], 2, 1),
    10: ([52, 53], 2, 1),
    12: ([54], 2, 1),
    15: ([54], 2, -1),
    16: ([55, 56], 2, -1),
    17: ([56, 57], 2, 1),
    18: ([54], 0, -1),
    20: ([54], 0, 1),
    26: ([8], 2, -1),
    43: ([43, 44], 2, -1),
}


def test_the_rig_covers_every_benchmark_and_every_expression() -> None:
    needed = {au for name in AU_SETS for au in AU_SETS[name]}
    needed |= {au for table in (EMFACS, EMFACS_OPTIONAL) for aus in table.values() for au in aus}
    assert needed <= set(RIG_AUS) <= set(ACTION_UNITS)


@pytest.mark.parametrize("au", MOVES)
def test_an_au_moves_its_part_of_the_face_more_the_stronger_it_is(au: int, head: Head) -> None:
    points, axis, sign = MOVES[au]
    strengths = np.zeros((4, 2, len(RIG_AUS)))
    strengths[:, :, RIG_AUS.index(au)] = np.array([0, 0.3, 0.6, 1])[:, None]
    faces = head.express(head.template, action_weights(strengths, rig_matrix(head.action_labels)))
    way = sign * faces[:, head.landmarks[points], axis].mean(axis=1)
    assert (np.diff(way) > 0.0002).all()


def outline(head: Head, au: int) -> dict[str, float]:
    """What an AU at its maximum does to the mouth of the average head, millimetres."""
    strengths = np.zeros((1, 2, len(RIG_AUS)))
    strengths[0, :, RIG_AUS.index(au)] = 1
    rest = head.rest({}, {})
    face = head.express(rest, action_weights(strengths, rig_matrix(head.action_labels)))[0]
    before, after = (1000 * points[head.landmarks] for points in (rest, face))

    def measures(points: np.ndarray) -> dict[str, float]:
        return {
            "width": points[54, 0] - points[48, 0],
            "corners up": points[[48, 54], 2].mean(),
            "corners back": points[[48, 54], 1].mean(),
            "red": points[51, 2] - points[57, 2] - (points[62, 2] - points[66, 2]),
            "open": points[62, 2] - points[66, 2],
        }

    first = measures(before)
    return {name: value - first[name] for name, value in measures(after).items()}


def test_mouths_that_coders_confuse_differ(head: Head) -> None:
    dimpled, stretched, smiling = (outline(head, au) for au in (14, 20, 12))
    assert stretched["width"] > dimpled["width"] + 3
    assert dimpled["corners back"] > stretched["corners back"] + 1
    assert abs(stretched["corners up"]) < 2.5 < smiling["corners up"]
    tight, pressed, sucked = (outline(head, au) for au in (23, 24, 28))
    assert tight["width"] < -2 < 2 < pressed["width"]
    assert sucked["red"] < min(tight["red"], pressed["red"]) - 2
    assert max(shape["open"] for shape in (tight, pressed, sucked)) < 1
    parted, dropped, gaping, funnel = (outline(head, au) for au in (25, 26, 27, 22))
    assert 4 < parted["open"] < dropped["open"] < gaping["open"]
    assert funnel["width"] < -4 < 2 < funnel["open"]


def test_sides_act_apart(head: Head) -> None:
    strengths = np.zeros((2, 2, len(RIG_AUS)))
    strengths[[0, 1], [0, 1], RIG_AUS.index(12)] = 1
    faces = head.express(head.template, action_weights(strengths, rig_matrix(head.action_labels)))
    moved = np.linalg.norm(faces - head.template, axis=2)[:, head.landmarks[[48, 54]]]
    assert moved[0, 0] > 5 * moved[0, 1] and moved[1, 1] > 5 * moved[1, 0]


def test_aus_that_share_an_action_add_up_without_end() -> None:
    matrix = np.ones((2, len(RIG_AUS), 1), np.float32)
    single = np.zeros((1, 2, len(RIG_AUS)))
    single[0, 0, 0] = 0.5
    assert action_weights(single, matrix) == pytest.approx(np.array([[0.5]]))
    assert KNEE < action_weights(np.full((1, 2, len(RIG_AUS)), 1.0), matrix)[0, 0] <= LIMIT
    assert action_weights(-single, matrix) == pytest.approx(np.array([[-0.5]]))


def test_an_action_that_the_head_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="browInnerUp"):
        rig_matrix(["jawOpen"])
