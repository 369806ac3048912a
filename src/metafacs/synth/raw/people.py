"""Raw trees of the AU datasets: which recording is which part, and what of it all layouts share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metafacs.facs import PRESENT_FROM
from metafacs.synth.activity import Scale
from metafacs.synth.parts import Row
from metafacs.synth.photo import Shot
from metafacs.synth.plans import AuPlan, Clip, Subject
from metafacs.synth.raw.camera import reframe, uncropped
from metafacs.synth.recording import Recording, record, shot_facts
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import Framing, Habits, draw_framing

_FRAMING, _CLOTHES = 10, 11


@dataclass(frozen=True, eq=False)
class Footage:
    """One recording as a camera took it.

    Attributes:
        subject: who.
        clip: the recording.
        recording: its labels and crops.
        framing: where the eyes lie in the camera frame on average.
        habits: the person's, as `uncropped` has them.
        aus: the AUs that were coded.
    """

    subject: Subject
    clip: Clip
    recording: Recording
    framing: Framing
    habits: Habits
    aus: tuple[int, ...]

    def shots(self, turn: float = 0.0) -> Iterator[Shot]:
        """The camera frames, in order; `turn` as in `reframe`."""
        for frame in range(self.clip.frames):
            yield reframe(self.recording.shot(frame), self.framing, self.habits, turn)

    def row(self, frame: int, path: str, shot: Shot) -> Row:
        """The truth about one camera frame; frames count from 0."""
        clip, subject = self.clip, self.subject
        where = {"sequence": clip.name, "frame": clip.first + frame, "fold": subject.fold}
        row = {"path": path, "subject": subject.name, **where}
        return {**row, **self.recording.labels(frame, self.aus), **shot_facts(shot)}

    def coded(self, au: int) -> list[tuple[int, int, int]]:
        """(frame number, present 0 or 1, intensity 0-5) of every frame, as the coder wrote it down."""
        levels = self.recording.coded[:, RIG_AUS.index(au)].tolist()
        return [(k, int(level >= PRESENT_FROM), level) for k, level in enumerate(levels, start=self.clip.first)]


def recordings(plan: AuPlan) -> list[tuple[int, int]]:
    """(person, recording) of every part."""
    return [(number, clip) for number, subject in enumerate(plan.subjects) for clip in range(len(subject.clips))]


def footage(plan: AuPlan, scale: Scale, seed: int, part: int, size: tuple[int, int], eyes: float) -> Footage:
    """One part's recording.

    Args:
        plan: of the dataset.
        scale: of its AUs.
        seed: of the dataset.
        part: its number.
        size: (height, width) of the camera frames in pixels.
        eyes: distance between the eyes, as a share of the width, on average.
    """
    number, which = recordings(plan)[part]
    subject = plan.subjects[number]
    recording = record(plan, scale, seed, number, which)
    rng = np.random.default_rng([*recording.place, _FRAMING])
    framing = draw_framing(rng, size[1], size[0], eyes * size[1])
    clothes = np.random.default_rng([*recording.place[:3], 0, _CLOTHES])
    habits = uncropped(recording.role.person, recording.role.habits, framing, clothes)
    return Footage(subject, subject.clips[which], recording, framing, habits, plan.aus)
