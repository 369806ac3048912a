from dataclasses import replace

import numpy as np
import pytest

from metafacs.synth.head import Head
from metafacs.synth.identity import Person, draw_person
from metafacs.synth.photo import BATCH, Shot, take
from metafacs.synth.render import develop, vertex_normals
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import CROP, Scene, draw_habits

SIZE = 64


@pytest.fixture(scope="module")
def person(head: Head) -> Person:
    return draw_person(head, np.random.default_rng(11))


def shot(person: Person, *aus: int, gaze: tuple[float, float] = (0.0, 0.0), light: int = 0) -> Shot:
    strengths = np.zeros((2, len(RIG_AUS)))
    strengths[:, [RIG_AUS.index(au) for au in aus]] = 1
    habits = draw_habits(np.random.default_rng(light))
    key = replace(habits.lights[0], direction=np.array([0.0, 0.3, 0.95]))
    habits = replace(habits, lights=(key, *habits.lights[1:]))
    return Shot(person, strengths, gaze, Scene(0.0, 0.0, CROP, habits))


def test_an_image_does_not_depend_on_its_batch(head: Head, person: Person) -> None:
    other = draw_person(head, np.random.default_rng(12))
    shots = [shot(person, 12), shot(other, 4), *[shot(person)] * BATCH, shot(other, 26)]
    images, points = take(head, shots, SIZE, 2)
    for number in (0, 1, len(shots) - 1):
        alone, marks = take(head, [shots[number]], SIZE, 2)
        assert np.array_equal(alone[0], images[number])
        assert np.array_equal(marks[0], points[number])


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
    assert np.abs(rest - acting).max() > 25


def test_closed_eyes_show_no_white(head: Head, person: Person) -> None:
    (image,), (points,) = take(head, [shot(person, 43)], 300, 1)
    for first in (36, 42):
        x, y = points[first : first + 6].mean(axis=0).astype(int)
        patch = image[y - 12 : y + 13, x - 20 : x + 21].astype(float)
        assert (patch.max(axis=2) - patch.min(axis=2)).min() > 5  # skin is coloured, an eyeball is not


def test_normals_point_out_of_the_face(head: Head) -> None:
    normals = vertex_normals(head.template[None], head)[0]
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-4)
    assert normals[head.landmarks[30], 1] < -0.8
    assert normals[head.landmarks[8], 2] < 0


def test_developing_rolls_highlights_off() -> None:
    light = np.array([0.0, 0.2, 0.7, 1.0, 5.0], np.float32)
    values = develop(light).astype(int)
    assert values[0] == 0 and values[-1] == 255
    assert (np.diff(values) >= 0).all() and values[3] < 255
