"""A person being recorded: what the face does in every frame, what a coder writes down, and how the camera sees it."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facsynth.activity import (
    Scale,
    Temper,
    draw_latent,
    draw_temper,
    draw_wobble,
    intensities,
    side_levels,
    sides,
    strength,
    with_resting,
)
from facsynth.coders import code
from facsynth.head import load_head
from facsynth.identity import Person, draw_person, spread_demographics
from facsynth.photo import Shot
from facsynth.plans import AuPlan, Clip, Subject, seeds
from facsynth.scene import Framing, Habits, Scene, draw_habits, draw_scene

Place = tuple[int, int, int, int]
"""What `seeds` gives, the number of a person, the number of a recording."""

POSE_PACE = 1.5
"""Seconds in which a head goes from one position to the next."""
GAZE_PACE = 0.6
"""Seconds for which the eyes rest on one thing."""

# Every random draw has a stream of its own, so that nothing depends on what was drawn before.
_PERSON, _HABITS, _TEMPER, _COURSE, _LEAN, _CODER, _SCENE, _GAZE, _GRAIN = range(1, 10)


@dataclass(frozen=True, eq=False)
class Role:
    """A person with the room, the camera and the temper that all recordings of this person share."""

    person: Person
    habits: Habits


@functools.lru_cache(maxsize=2)
def cast(start: tuple[int, int], number: int, male: bool | None) -> Role:
    """Person `number` of an AU dataset, of a given sex or of any; `start` from `seeds`."""
    who = spread_demographics(sum(start), number, male)
    person = draw_person(load_head(), _rng((*start, number, 0), _PERSON), who)
    return Role(person, draw_habits(_rng((*start, number, 0), _HABITS)))


def draw_latents(plan: AuPlan, seed: int) -> list[NDArray[np.float64]]:
    """(frames, A) activity of every recording of everybody, as `calibrate` takes them; needs no pictures."""
    return [
        _latent(plan, seed, number, clip)
        for number, subject in enumerate(plan.subjects)
        for clip in range(len(subject.clips))
    ]


def _latent(plan: AuPlan, seed: int, number: int, clip: int) -> NDArray[np.float64]:
    frames = plan.subjects[number].clips[clip].frames
    place = (*seeds(plan, seed), number, clip)
    latent = draw_latent(_rng(place, _COURSE), _temper(place), frames, plan.step)
    return np.asarray(latent, np.float64)


def _temper(place: Place) -> Temper:
    return draw_temper(_rng((*place[:3], 0), _TEMPER))


def _rng(place: Place, what: int, *which: int) -> np.random.Generator:
    return np.random.default_rng([*place, what, *which])


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording: the labels of its frames, and what is needed to take pictures of them.

    Attributes:
        subject: the person, as planned.
        clip: the recording, as planned.
        role: who it is, and where.
        place: of the recording among all that are made; starts its random numbers.
        step: seconds between frames.
        acting: (n, 2, A) rendered strength of each AU of the rig on the right and the left.
        levels: (n, A) FACS intensity 0-5 of both sides on average, which is what a coder who never errs writes down.
        side_levels: (n, 2, A) the same of each side.
        coded: (n, A) the intensity that the coder wrote down.
    """

    subject: Subject
    clip: Clip
    role: Role
    place: Place
    step: float
    acting: NDArray[np.float64]
    levels: NDArray[np.int64]
    side_levels: NDArray[np.int64]
    coded: NDArray[np.int64]

    def shot(self, frame: int) -> Shot:
        """The picture of one frame as an aligned crop; frames count from 0."""
        scene = self._scene(frame)
        gaze = _rng(self.place, _GAZE, int(frame * self.step / GAZE_PACE)).normal(0, (0.1, 0.05))
        grain = int(_rng(self.place, _GRAIN, frame).integers(2**31))
        return Shot(self.role.person, self.acting[frame], (float(gaze[0]), float(gaze[1])), scene, grain)

    def _scene(self, frame: int) -> Scene:
        every = max(1, round(POSE_PACE / self.step))
        knot, since = divmod(frame, every)
        before = self._draw_scene(knot)
        if not since:
            return before
        part = since / every
        return blend_scenes(before, self._draw_scene(knot + 1), part * part * (3 - 2 * part))

    def _draw_scene(self, knot: int) -> Scene:
        return draw_scene(self.role.habits, _rng(self.place, _SCENE, knot), skin=self.role.person.colours["skin"])


def record(plan: AuPlan, scale: Scale, seed: int, number: int, clip: int) -> Recording:
    """Recording `clip` of person `number`; the same whoever asks for it."""
    place = (*seeds(plan, seed), number, clip)
    subject = plan.subjects[number]
    role = cast(place[:2], number, subject.male)
    course = intensities(_latent(plan, seed, number, clip), scale)
    wobble = draw_wobble(_rng(place, _LEAN), len(course), plan.step)
    lean = role.person.asymmetry
    acting = sides(strength(course) * role.person.expressiveness, lean, wobble)
    return Recording(
        subject=subject,
        clip=subject.clips[clip],
        role=role,
        place=place,
        step=plan.step,
        acting=np.asarray(with_resting(acting, _temper(place).resting), np.float64),
        levels=np.floor(course).astype(np.int64),
        side_levels=side_levels(course, lean, wobble),
        coded=code(course, plan.coder_noise, _rng(place, _CODER), plan.step),
    )


def blend_scenes(before: Scene, after: Scene, part: float) -> Scene:
    """A scene between two of one room; things in front of the face are those of the first."""

    def mix(a: float, b: float) -> float:
        return a * (1 - part) + b * part

    one, two = before.framing, after.framing
    middle = (mix(one.middle[0], two.middle[0]), mix(one.middle[1], two.middle[1]))
    framing = Framing(middle, mix(one.eyes, two.eyes), mix(one.roll, two.roll))
    return replace(before, yaw=mix(before.yaw, after.yaw), pitch=mix(before.pitch, after.pitch), framing=framing)
