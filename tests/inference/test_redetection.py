"""Rendered people in whole frames, and the same people as the crops that prepared datasets have of them."""

import io
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metafacs.faces import to_jpeg
from metafacs.inference import AUDetector
from metafacs.inference.rows import sigmoid
from metafacs.inference.watching import Crop
from tests.inference.toys import AUS, save_toy

SIZE, FRAME = 80, 480
PEOPLE = 24


@pytest.mark.slow
@pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="the synth extra is not installed")
def test_faces_found_in_frames_nearly_give_what_their_rendered_crops_give(tmp_path: Path) -> None:
    from facsynth.activity import draw_course, draw_temper, sides, strength
    from facsynth.head import load_head
    from facsynth.identity import draw_person
    from facsynth.photo import Shot, take
    from facsynth.scene import CROP, Framing, draw_habits, draw_scene
    from metafacs.synth.rendering import crop_recipe

    pytest.importorskip("dlib")
    head, rng, near, far = load_head(), np.random.default_rng(4), [], []
    for _ in range(PEOPLE):
        person, scene = draw_person(head, rng), draw_scene(draw_habits(rng), rng)
        course = draw_course(rng, draw_temper(rng), 5)
        acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))[3]
        sensor, small = scene.habits.sensor, Framing((0.5, 0.45), 0.15, 0.1)
        habits = replace(scene.habits, sensor=replace(sensor, blur=sensor.blur * small.eyes / CROP.eyes))
        near.append(Shot(person, acting, (0.0, 0.0), replace(scene, framing=CROP)))
        far.append(Shot(person, acting, (0.0, 0.0), replace(scene, framing=small, habits=habits)))
    detector = AUDetector.from_run(save_toy(tmp_path / "run", crop=crop_recipe(SIZE)), device="cpu")
    table = detector.detect(list(take(head, far, FRAME, 1)[0]), faces=1)
    side = (detector.card.resize, detector.card.resize)
    crops = [
        Crop(np.asarray(Image.open(io.BytesIO(to_jpeg(crop, 92))).resize(side, Image.Resampling.BILINEAR)))
        for crop in take(head, near, SIZE, 2)[0]
    ]
    expected = sigmoid(detector.logits(crops))
    seen = table["success"].to_numpy() == 1
    assert seen.mean() > 0.9
    found, expected = table[AUS].to_numpy()[seen], expected[seen]
    strangers = np.abs(found - np.roll(expected, 1, axis=0)).mean()
    assert np.abs(found - expected).mean() < 0.3 * strangers
    assert np.mean([np.corrcoef(found[:, k], expected[:, k])[0, 1] for k in range(len(AUS))]) > 0.85
