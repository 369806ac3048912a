import numpy as np
import pytest

from facsynth.actions import SPLIT_ACTIONS
from facsynth.head import Head


def test_landmarks_mirror_each_other_and_lie_where_they_should(head: Head) -> None:
    x, y, z = (1000 * head.template[head.landmarks]).T
    pairs = [(0, 16), (4, 12), (17, 26), (21, 22), (31, 35), (36, 45), (39, 42), (41, 46), (48, 54), (60, 64), (61, 63)]
    for right, left in pairs:
        assert x[right] == pytest.approx(-x[left], abs=0.1)
        assert z[right] == pytest.approx(z[left], abs=0.1)
        assert x[right] < 0
    assert y.argmin() == 30  # the tip of the nose
    assert z.argmin() == 8  # the chin
    assert (np.diff(x[0:17]) > 0).all() and (np.diff(x[17:27]) > 0).all()
    assert z[27] > z[28] > z[29] > z[30] > z[33] > z[51] > z[62] > z[66] > z[57] > z[8]
    assert z[37] > z[41] and z[43] > z[47]
    assert len(set(head.landmarks.tolist())) == 68


def test_split_actions_add_up_and_act_on_their_side(head: Head) -> None:
    labels = head.model.blendshape_labels
    for name in SPLIT_ACTIONS:
        left, right = (head.actions[head.action_labels.index(name + side)].numpy() for side in ("Left", "Right"))
        whole = head.model.blendshapes[labels.index(f"facial_action:{name}")].numpy()
        assert (left + right)[: len(whole)] == pytest.approx(whole, abs=1e-7)
        far = head.template[:, 0] > 0.03
        assert np.abs(right[far]).max() <= 0.02 * np.abs(left[far]).max()
        assert np.abs(left).max() > 0.001


def test_a_face_is_its_rest_plus_its_actions_whatever_the_batch(head: Head) -> None:
    rest = head.rest({"gender": 0.9}, {"nose-hump-incr": 0.5})
    weights = np.zeros((3, len(head.action_labels)), np.float32)
    weights[1, head.action_labels.index("jawOpen")] = 0.5
    weights[2] = np.random.default_rng(0).random(weights.shape[1])
    faces = head.express(rest, weights)
    assert np.array_equal(faces[0], rest)
    assert np.array_equal(faces[2], head.express(rest, weights[2:])[0])
    chin = head.landmarks[8]
    assert faces[1, chin, 2] < rest[chin, 2] - 0.005
