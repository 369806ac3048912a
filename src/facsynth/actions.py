"""The facial actions of the head: those of the model, given sides where they have none, and some of our own."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SPLIT_ACTIONS = (
    "browInnerUp",
    "cheekPuff",
    "mouthFunnel",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
)
"""Facial actions without a side in the model; they are given one here."""
SIDE_BLEND = 0.006
"""Metres over which a split action goes over from one side to the other."""

SCULPTS: Mapping[str, Sequence[tuple[float, float, float, float, float, float]]] = MappingProxyType(
    {
        "browGather": ((14, 153, 9, -3.5, 0.0, -2.0), (5, 148, 6, -0.5, -1.0, -0.8)),
        "cheekRaise": ((37, 112, 13, 0.5, -2.5, 3.5), (33, 124, 6, 0.0, -1.5, 1.5)),
        "noseWing": ((14, 100, 7, 1.0, -0.8, 3.5), (9, 122, 7, -0.5, -1.2, 1.0)),
        "cheekPit": ((25, 70, 6, 0.8, 3.0, 0.4),),
        "chinBoss": ((8, 46, 10, 0.0, -2.0, 2.5),),
        "browArch": ((31, 156, 9, 0.0, 0.0, 2.5),),
        "lipLift": ((19, 93, 8, 0.8, -1.5, 2.5), (12, 78, 5, 0.3, 0.0, 2.0)),
        "lipTuck": ((9, 62, 8, 0.0, 3.0, 1.8), (9, 76, 7, 0.0, 2.0, -1.8), (9, 54, 7, 0.0, -0.8, 2.2)),
        "smileFold": ((38, 68, 8, 2.5, -1.0, 2.0),),
        "cornerSeal": ((15.5, 64.5, 5, 0.0, 0.0, 1.8), (15.5, 74.5, 5, 0.0, 0.0, -1.5)),
        "cornerTuck": ((23, 69.5, 5, -1.0, 3.0, 0.0), (34, 69, 6, 0.5, -2.5, 0.0)),
    }
)
"""Facial actions of our own, where the model's are too faint, each on both sides: bumps of the skin given by |x|, z and
radius, and the way their middle moves: outwards, backwards and up; all in millimetres on the average head."""
_FRONT = -70  # y in millimetres before which our own actions move the skin

Actions = tuple[tuple[str, ...], torch.Tensor]


def model_actions(model: Any, template: NDArray[np.float32]) -> Actions:
    """Names and (K, V, 3) offsets of the model's facial actions.

    Those without a side are split into a left and a right one that add up to the whole.
    """
    left = torch.from_numpy(1 / (1 + np.exp(-template[:, 0] / SIDE_BLEND)))[:, None]
    labels: list[str] = []
    shapes: list[torch.Tensor] = []
    for label, shape in zip(model.blendshape_labels, model.blendshapes, strict=True):
        kind, _, name = label.partition(":")
        if kind != "facial_action":
            continue
        if name in SPLIT_ACTIONS:
            labels += [f"{name}Left", f"{name}Right"]
            shapes += [shape * left, shape * (1 - left)]
        else:
            labels.append(name)
            shapes.append(shape)
    return tuple(labels), torch.stack(shapes).float()


def own_actions(template: NDArray[np.float32], eyes: NDArray[np.integer]) -> Actions:
    """Names and (K, V, 3) offsets of the actions of `SCULPTS`; the eyeballs, vertices `eyes`, stay where they are."""
    mm = template.astype(np.float64) * 1000
    movable = (mm[:, 1] < _FRONT).astype(np.float64)
    movable[eyes] = 0
    labels: list[str] = []
    shapes: list[torch.Tensor] = []
    for name, bumps in SCULPTS.items():
        for side, sign in (("Left", 1), ("Right", -1)):
            shape = np.zeros_like(mm)
            for x, z, radius, out, back, up in bumps:
                distance = np.hypot(mm[:, 0] - sign * x, mm[:, 2] - z)
                weight = movable * np.exp(-((distance / radius) ** 2))
                shape += weight[:, None] * np.array([sign * out, back, up])
            labels.append(name + side)
            shapes.append(torch.from_numpy(shape / 1000).float())
    return tuple(labels), torch.stack(shapes)
