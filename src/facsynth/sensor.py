"""What a camera does to the picture it takes: blur, noise and 8 bits."""

import numpy as np
from numpy.typing import NDArray

from facsynth.scene import Sensor

_STREAM = 6  # sets the sensor's random numbers apart from others with the same seed
_LEAST_BLUR = 0.15  # pixels; what is less cannot be seen


def record(values: NDArray[np.float32], sensor: Sensor, seed: int) -> NDArray[np.uint8]:
    """Turns a developed picture into the one that the camera stores.

    Args:
        values: (H, W, 3) in [0, 1], as on a screen.
        sensor: the camera.
        seed: of its noise, 0 or more.

    Returns:
        (H, W, 3) uint8.
    """
    width = values.shape[1]
    if sensor.blur * width > _LEAST_BLUR:
        values = blur(values, sensor.blur * width)
    if sensor.noise > 0:
        values = values + noise(values, sensor.noise, np.random.default_rng([seed, _STREAM]))
    return (255 * np.clip(values, 0, 1) + np.float32(0.5)).astype(np.uint8)


def blur(values: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """(H, W, 3) the picture under a Gaussian of that standard deviation, in pixels; its edges go on outside."""
    reach = int(np.ceil(3 * deviation))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if k == axis else (0, 0) for k in range(3)]
        padded = np.pad(values, padding, mode="edge")
        parts = (padded.take(range(k, k + values.shape[axis]), axis=axis) for k in range(len(taps)))
        values = sum((part * tap for part, tap in zip(parts, taps, strict=True)), np.zeros_like(values))
    return values


def noise(values: NDArray[np.float32], deviation: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H, W, 3) noise whose standard deviation is the given one at mid grey and grows with the root of brightness.

    Most of it is the same in all three colours, as cameras leave it.
    """
    height, width = values.shape[:2]
    grey = rng.standard_normal((height, width, 1), np.float32)
    colour = rng.standard_normal((height, width, 3), np.float32)
    return np.asarray(deviation * np.sqrt(2 * values.clip(0, 1)) * (0.8 * grey + 0.6 * colour), np.float32)
