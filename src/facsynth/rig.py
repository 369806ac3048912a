"""The rig: which facial actions of the 3D head an Action Unit moves, left and right apart."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

RIG: Mapping[int, Mapping[str, float]] = MappingProxyType(
    {
        1: {"browInnerUp": 1.2},
        2: {"browOuterUp": 1.1, "browArch": 0.9},
        4: {"browDown": 0.7, "browInnerUp": -0.45, "browGather": 1.0},
        5: {"eyeWide": 1.0},
        6: {"cheekSquint": 1.0, "cheekRaise": 1.2, "eyeSquint": 0.25},
        7: {"eyeSquint": 1.0},
        9: {"noseSneer": 1.0, "noseWing": 1.0, "mouthUpperUp": 0.15, "browInnerUp": -0.3, "browGather": 0.3},
        10: {"mouthUpperUp": 0.9, "lipLift": 1.0, "noseWing": 0.25},
        12: {"mouthSmile": 0.95, "smileFold": 1.0},
        14: {"mouthDimple": 0.75, "mouthFrown": 0.15, "cornerTuck": 1.2, "cheekPit": 0.6},
        15: {"mouthFrown": 1.0},
        16: {"mouthLowerDown": 1.25},
        17: {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.6, "chinBoss": 1.0},
        18: {"mouthPucker": 1.0},
        20: {"mouthStretch": 1.2, "mouthSmile": 0.17, "mouthRollLower": 0.15, "mouthRollUpper": 0.1},
        22: {"mouthFunnel": 1.0},
        23: {"mouthRollLower": 0.55, "mouthRollUpper": 0.6, "mouthPucker": 0.35, "cornerSeal": 0.5},
        24: {
            "mouthPress": 0.35,
            "mouthFrown": 0.2,
            "mouthRollLower": 0.5,
            "mouthRollUpper": 0.55,
            "mouthShrugLower": 0.45,
            "cornerSeal": 1.0,
        },
        25: {"mouthLowerDown": 0.4, "mouthUpperUp": 0.25, "jawOpen": 0.12},
        26: {"jawOpen": 0.5},
        27: {"jawOpen": 1.0},
        28: {"mouthRollLower": 1.1, "mouthRollUpper": 1.1, "lipTuck": 1.0, "mouthShrugLower": 0.2, "cornerSeal": 1.0},
        43: {"eyeBlink": 1.0},
    }
)
"""AU -> facial action (without side) -> its strength at the AU's maximum."""

RIG_AUS: tuple[int, ...] = tuple(RIG)
"""Every AU that can be rendered, in the order of the columns of `action_weights`."""

KNEE, LIMIT = 0.9, 1.3
"""Up to the first strength several AUs that move one facial action just add up; nothing goes beyond the second."""


def rig_matrix(labels: Sequence[str]) -> NDArray[np.float32]:
    """How each AU moves each facial action on each side.

    Args:
        labels: names of the K facial actions of the head.

    Returns:
        (2, A, K) float32, right side first, A the AUs of `RIG_AUS`. An action without sides ("jawOpen") is shared out
        half to each.

    Raises:
        ValueError: the head lacks an action of the rig.
    """
    matrix = np.zeros((2, len(RIG_AUS), len(labels)), np.float32)
    for row, au in enumerate(RIG_AUS):
        for action, strength in RIG[au].items():
            sided = [action + side for side in ("Right", "Left")]
            if action in labels:
                matrix[:, row, labels.index(action)] = strength / 2
            else:
                for side, name in enumerate(sided):
                    matrix[side, row, labels.index(name)] = strength
    return matrix


def action_weights(strengths: NDArray[np.floating], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Facial action weights of n frames.

    Args:
        strengths: (n, 2, A), how strongly each AU acts on the right and the left, about [0, 1].
        matrix: (2, A, K) from `rig_matrix`.

    Returns:
        (n, K) float32. Where several AUs move one action their strengths add up with diminishing returns, so that
        none is lost and the face stays a face.
    """
    total = np.einsum("nsa,sak->nk", strengths.astype(np.float64), matrix.astype(np.float64))
    excess = np.maximum(np.abs(total) - KNEE, 0)
    held = np.minimum(np.abs(total), KNEE) + (LIMIT - KNEE) * np.tanh(excess / (LIMIT - KNEE))
    return (np.sign(total) * held).astype(np.float32)
