from dataclasses import replace

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from facsynth.head import Head
from facsynth.identity import Person, draw_person
from facsynth.photo import BATCH, Shot, eye_centres, pose_face, take
from facsynth.render import renderer
from facsynth.rig import RIG_AUS
from facsynth.scene import CROP, Light, Scene, aim, draw_habits, unit
from facsynth.solids import Solids

SIZE = 64
FRONT = Light(unit([0.0, 0.3, 0.95]), np.ones(3), 0.1)


class Balls:
    """Balls in front of a landmark."""

    def __init__(self, *balls: tuple[int, tuple[float, float, float], float]) -> None:
        self.balls = balls

    def solids(self, points: NDArray[np.floating]) -> Solids:
        middle = np.array([points[mark] + off for mark, off, _ in self.balls], np.float32)
        radius = np.array([radius for _, _, radius in self.balls], np.float32)
        colour = np.tile(np.array([0.0, 0.0, 0.8], np.float32), (len(radius), 1))
        return Solids(middle, middle, radius, colour, np.zeros(len(radius), np.float32))


@pytest.fixture(scope="module")
def person(head: Head) -> Person:
    return draw_person(head, np.random.default_rng(11))


@wp.kernel
def shoot(mesh: wp.uint64, origin: wp.vec3, rays: wp.array(dtype=wp.vec3), out: wp.array(dtype=float)) -> None:  # type: ignore[valid-type, no-untyped-def]
    k = wp.tid()
    hit = wp.mesh_query_ray(mesh, origin, wp.normalize(rays[k]), 10.0)
    out[k] = 100.0
    if hit.result:
        out[k] = hit.t / wp.length(rays[k])


def shot(
    person: Person,
    *aus: int,
    gaze: tuple[float, float] = (0.0, 0.0),
    light: int = 0,
    lights: tuple[Light, ...] = (),
    props: tuple[Balls, ...] = (),
) -> Shot:
    strengths = np.zeros((2, len(RIG_AUS)))
    strengths[:, [RIG_AUS.index(au) for au in aus]] = 1
    habits = draw_habits(np.random.default_rng(light))
    key = replace(habits.lights[0], direction=np.array([0.0, 0.3, 0.95]))
    habits = replace(habits, lights=lights or (key, *habits.lights[1:]))
    return Shot(person, strengths, gaze, Scene(0.0, 0.0, CROP, habits, props))


def test_an_image_does_not_depend_on_its_batch(head: Head, person: Person) -> None:
    other = draw_person(head, np.random.default_rng(12))
    ball = shot(other, 4, props=(Balls((30, (0.0, -0.05, 0.0), 0.01)),))
    room = replace(ball.scene.habits, backdrop=np.full((7, 9, 3), 0.3, np.float32), lights=(FRONT,) * 3)
    ball = replace(ball, scene=replace(ball.scene, habits=room))
    shots = [shot(person, 12), ball, *[shot(person)] * BATCH, shot(other, 26)]
    images, points = take(head, shots, SIZE, 2)
    for number in (0, 1, len(shots) - 1):
        alone, marks = take(head, [shots[number]], SIZE, 2)
        assert np.array_equal(alone[0], images[number])
        assert np.array_equal(marks[0], points[number])


@pytest.mark.slow  # compiles a kernel of its own
def test_what_is_seen_is_what_rays_hit(head: Head, person: Person) -> None:
    """The depth found by rasterising is that of a ray through the sample, except at a few edges."""
    taken = shot(person, 26, 2)
    face = pose_face(head, taken)
    camera = aim(taken.scene, eye_centres(face[head.landmarks]))
    drawer = renderer(head)
    take(head, [taken], SIZE, 1)
    keys = drawer._buffers["keys"].numpy()[0]
    depth = np.where(keys < 1 << 62, (keys >> 24) / 2.0**24, 100.0)

    at = (np.arange(SIZE) + 0.5) / SIZE
    place = camera.turn * (at[None, :] + 1j * at[:, None]) + camera.start
    rays = camera.forward + place.real[..., None] * camera.right - place.imag[..., None] * camera.up
    mesh = wp.Mesh(
        points=wp.array(face, dtype=wp.vec3, device="cpu"),
        indices=wp.array(head.faces.reshape(-1), dtype=wp.int32, device="cpu"),
    )
    given = wp.array(rays.reshape(-1, 3).astype(np.float32), dtype=wp.vec3, device="cpu")
    found = wp.empty(SIZE * SIZE, dtype=float, device="cpu")
    wp.launch(shoot, dim=SIZE * SIZE, inputs=[mesh.id, wp.vec3(*camera.origin), given, found], device="cpu")
    seen = found.numpy().reshape(SIZE, SIZE)
    assert 0.5 < (seen < 100).mean() < 1
    assert (np.abs(depth - seen) < 1e-5).mean() > 0.99


def test_both_eyes_have_white_iris_and_pupil_where_they_look(head: Head, person: Person) -> None:
    size = 400
    wide = shot(person, 5)
    images, points = take(head, [wide, replace(wide, gaze=(0.35, 0.0))], size, 1)
    for first in (36, 42):
        x, y = points[0, first : first + 6].mean(axis=0).astype(int)
        left, right = points[0, first, 0], points[0, first + 3, 0]
        strip = images[:, y - 2 : y + 3, int(left) + 4 : int(right) - 3].astype(float).mean(axis=(1, 3))
        dark = np.array([np.average(np.arange(len(row)), weights=(row.max() - row) ** 4) for row in strip])
        assert abs(dark[0] + int(left) + 4 - x) < 0.12 * (right - left)
        assert dark[1] > dark[0] + 2  # to the person's left is to the picture's right
        assert strip[0].max() > 1.5 * strip[0].min()


@pytest.mark.parametrize("au", RIG_AUS)
def test_an_au_changes_the_picture_at_training_size(au: int, head: Head, person: Person) -> None:
    rest, acting = take(head, [shot(person), shot(person, au)], SIZE, 2)[0].astype(float)
    assert np.abs(rest - acting).max() > 15


def test_every_light_lights_its_side_and_casts_shadows(head: Head, person: Person) -> None:
    red = Light(unit([1.0, 0.2, 0.4]), np.array([1.0, 0.1, 0.1]), 0.1)
    plain, lit, hidden = take(
        head,
        [
            shot(person, lights=(FRONT, FRONT)),
            shot(person, lights=(FRONT, FRONT, red)),
            shot(person, lights=(FRONT, FRONT, red), props=(Balls((15, (0.2, -0.08, 0.05), 0.1)),)),
        ],
        96,
        1,
    )[0].astype(float)
    redness = [image[..., 0] - image[..., 1] for image in (plain, lit, hidden)]
    cheek, other = np.s_[52:64, 66:72], np.s_[52:64, 24:30]
    assert redness[1][cheek].mean() > redness[0][cheek].mean() + 20
    assert redness[1][other].mean() < redness[0][other].mean() + 10
    assert redness[2][cheek].mean() < redness[1][cheek].mean() - 15  # the ball is in that light's way


def test_a_ball_is_seen_where_it_is(head: Head, person: Person) -> None:
    taken = shot(person, lights=(FRONT,), props=(Balls((30, (0.01, -0.06, -0.01), 0.015)),))
    (image,), _ = take(head, [taken], 200, 2)
    face = pose_face(head, taken)
    marks = face[head.landmarks]
    camera = aim(taken.scene, eye_centres(marks))
    ball = marks[30] + np.array([0.01, -0.06, -0.01])
    rows, columns = np.nonzero(image[..., 2].astype(int) > image[..., 0].astype(int) + 60)
    (middle,) = camera.crop(ball[None], 200)
    assert [columns.mean(), rows.mean()] == pytest.approx(middle - 0.5, abs=1)
    radius = 0.015 / ((ball - camera.origin) @ camera.forward) / abs(camera.turn) * 200
    assert len(rows) == pytest.approx(np.pi * radius**2, rel=0.06)


def test_a_frame_of_any_shape_shows_the_same_face(head: Head, person: Person) -> None:
    (square,), (marks,) = take(head, [shot(person)], 128, 1)
    (wide,), (same,) = take(head, [shot(person)], (96, 128), 1)
    assert wide.shape == (96, 128, 3)
    assert np.array_equal(marks, same)
    difference = np.abs(square[:96, 40:88].astype(int) - wide[:, 40:88])
    assert np.median(difference) <= 1 and difference.mean() < 2
