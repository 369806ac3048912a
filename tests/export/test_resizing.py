"""Resizing in whole numbers gives Pillow's pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from metafacs.data.transforms import centre_crops, crop
from metafacs.export.resizing import PRECISION, Resize, bilinear_taps


@pytest.mark.parametrize("size, resize", [(256, 248), (80, 72), (200, 248), (255, 17), (96, 96), (33, 34), (48, 47)])
def test_every_pixel_is_pillows(size: int, resize: int) -> None:
    pictures = np.random.default_rng(size).integers(0, 256, (3, size, size, 3), np.uint8)
    pictures[2] = 255 * (pictures[2] > 127)
    shown = [np.asarray(Image.fromarray(p).resize((resize, resize), Image.Resampling.BILINEAR)) for p in pictures]
    for side in (resize, resize - 1, resize - 7):
        stack = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
        expected = crop(stack, centre_crops(3, resize - side), side).permute(0, 2, 3, 1)
        found = Resize(size, resize, side)(torch.from_numpy(pictures))
        assert torch.equal(found.float() / 255, expected)


def test_weights_of_a_pixel_add_up_to_one() -> None:
    for size, wanted in ((256, 224), (100, 300), (1024, 224)):
        taps = bilinear_taps(size, wanted)
        assert np.abs(taps.weights.sum(axis=0) - 2**PRECISION).max() <= len(taps.weights)
        assert taps.places.min() == 0 and taps.places.max() == size - 1
