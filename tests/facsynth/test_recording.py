from dataclasses import replace

import numpy as np
import pytest

from facsynth.activity import calibrate
from facsynth.plans import AuPlan, Clip, Subject
from facsynth.recording import POSE_PACE, Recording, draw_latents, record

PLAN = AuPlan("a", "", (Subject("S1", "P1", (Clip("T1", 90), Clip("T2", 90)), male=True),), (12,), step=0.05)


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    scale = calibrate(draw_latents(PLAN, 0), PLAN.rates)
    return [record(PLAN, scale, 0, 0, clip) for clip in (0, 1)]


def test_heads_and_eyes_move_as_in_a_film(recordings: list[Recording]) -> None:
    shots = [recordings[0].shot(frame) for frame in range(90)]
    yaw = np.array([shot.scene.yaw for shot in shots])
    assert np.abs(np.diff(yaw)).max() < 0.1 < np.ptp(yaw) + 0.1
    assert np.ptp(yaw) > 0.02
    gaze = np.array([shot.gaze for shot in shots])
    still = (np.diff(gaze, axis=0) == 0).all(axis=1)
    assert 0.8 < still.mean() < 1  # eyes rest on one thing, then jump to the next


def test_frames_far_apart_are_posed_independently() -> None:
    plan = replace(PLAN, step=10 * POSE_PACE)
    scale = calibrate(draw_latents(plan, 0), plan.rates)
    yaw = np.array([record(plan, scale, 0, 0, 0).shot(frame).scene.yaw for frame in range(40)])
    assert abs(np.corrcoef(yaw[1:], yaw[:-1])[0, 1]) < 0.5 and yaw.std() > 0.05


def test_recordings_of_one_person_share_person_and_room(recordings: list[Recording]) -> None:
    first, second = (recording.shot(3) for recording in recordings)
    assert first.person is second.person and first.scene.habits is second.scene.habits
    assert first.scene.yaw != second.scene.yaw and (first.strengths != second.strengths).any()
    assert first.person.demographics.male > 0.5


def test_shots_are_the_same_whoever_asks(recordings: list[Recording]) -> None:
    scale = calibrate(draw_latents(PLAN, 0), PLAN.rates)
    again, before = record(PLAN, scale, 0, 0, 1).shot(40), recordings[1].shot(40)
    assert again.scene.yaw == before.scene.yaw and again.gaze == before.gaze and again.seed == before.seed
    np.testing.assert_array_equal(again.strengths, before.strengths)
