import numpy as np
import pytest

from facsynth.actions import SCULPTS, SPLIT_ACTIONS
from facsynth.head import EYE, MOUTH, SEAM_PRESS, SKIN, SOCKET, TEETH, TONGUE, Head, load_head, sphere
from facsynth.texture import front_place


def test_the_head_is_loaded_once(head: Head) -> None:
    assert load_head() is head


def test_every_material_is_found(head: Head) -> None:
    counts = {kind: int((head.material == kind).sum()) for kind in (SKIN, MOUTH, TONGUE, EYE, SOCKET, TEETH)}
    assert min(counts.values()) > 100
    assert counts[SKIN] > len(head.faces) / 2


def test_both_eyeballs_are_balls_that_look_ahead(head: Head) -> None:
    for vertices, side in zip(head.eyes, (-1, 1), strict=True):
        centre, radius = sphere(head.template[vertices])
        assert np.sign(centre[0]) == side
        assert radius == pytest.approx(0.016, abs=0.001)
        assert np.linalg.norm(head.ball[vertices], axis=1) == pytest.approx(1, abs=0.03)
        foremost = head.ball[vertices[head.template[vertices, 1].argmin()]]
        assert foremost == pytest.approx([0, -1, 0], abs=0.25)


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


def test_own_actions_leave_the_eyeballs_alone(head: Head) -> None:
    for name in SCULPTS:
        shape = head.actions[head.action_labels.index(f"{name}Left")].numpy()
        assert np.abs(shape).max() > 0.001
        assert np.abs(shape[np.concatenate(head.eyes)]).max() == 0


def test_resting_lips_touch(head: Head) -> None:
    rest = head.rest({}, {})
    upper, lower = head.seams
    middle = [seam.rim[np.abs(head.template[seam.rim, 0]).argmin()] for seam in (upper, lower)]
    assert abs(head.template[middle[0], 2] - head.template[middle[1], 2]) > 0.001
    assert rest[middle[1], 2] - rest[middle[0], 2] == pytest.approx(2 * SEAM_PRESS, abs=2e-4)


def test_the_skin_of_closed_lids_has_a_place_of_its_own_on_the_texture(head: Head) -> None:
    blink = head.actions[head.action_labels.index("eyeBlinkLeft")].numpy()
    lid = (blink[head.faces][:, :, 2] < -0.003).all(axis=1) & (head.material == SKIN)

    def areas(points: np.ndarray) -> np.ndarray:
        a, b, c = (points[head.faces[lid, k]].astype(float) for k in range(3))
        side, other = b - a, c - a
        return np.abs(side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0]) / 2

    closed = areas(front_place((head.template + blink)[:, [0, 2]]))
    assert lid.sum() > 20
    spread, plain = (closed / areas(place) for place in (head.front, front_place(head.template[:, [0, 2]])))
    assert np.quantile(spread, 0.9) < 0.6 * np.quantile(plain, 0.9)
    both = [head.action_labels.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    still = (head.actions[both].abs().amax(dim=(0, 2)) == 0).numpy()
    assert head.front[still] == pytest.approx(front_place(head.template[still][:, [0, 2]]))


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


def test_the_texture_shows_the_face_from_ahead() -> None:
    assert front_place(np.array([[0.0, 0.12], [0.12, 0.24]])) == pytest.approx(np.array([[0.5, 0.5], [1.0, 0.0]]))
