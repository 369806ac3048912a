"""Hair on the head: where it grows, its volume, and the strands at its edge that are painted on the skin."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facsynth.colour import Colour
from facsynth.head import SKIN, Head
from facsynth.noise import noise, smoothstep
from facsynth.texture import TEXTURE, front_place, texture_grid

Map = NDArray[np.float32]

STYLES = ("none", "shaved", "short", "full", "fringe", "covering", "receding", "bald on top")
"""Kinds of haircut; "covering" hides the ears."""
EAR = 0.0735
"""Distance of the ears from the middle of the average head, in metres."""
_KEEP = 0.014  # metres around the landmarks of brows, jaw and eyes within which hair has no volume


@dataclass(frozen=True)
class Cut:
    """A haircut, in metres on the average head.

    Attributes:
        style: one of `STYLES`.
        line: height of the hairline above the middle of the forehead.
        temples: how much further back it runs at the temples.
        side: y of the hairline before the ears.
        burns: height where the sideburns end.
        fringe: how far below the hairline a fringe hangs; 0 without.
        parting: x of the parting of the fringe.
        volume: thickness of the hair on top.
        curl: how uneven it is, in [0, 1].
    """

    style: str
    line: float
    temples: float
    side: float
    burns: float
    fringe: float
    parting: float
    volume: float
    curl: float


def draw_cut(rng: np.random.Generator, male: float, years: float) -> Cut:
    """Draws a haircut that goes with sex and age."""
    old = float(np.clip((years - 25) / 50, 0, 1))
    if male > 0.5:
        shares = np.array([0.04 + 0.08 * old, 0.16, 0.4, 0.14, 0.08, 0.02, 0.04 + 0.25 * old, 0.02 + 0.25 * old])
    else:
        shares = np.array([0.005, 0.015, 0.2, 0.33, 0.2, 0.25, 0.0, 0.0])
    style = STYLES[int(rng.choice(len(STYLES), p=shares / shares.sum()))]
    thick = {"none": (0, 0), "shaved": (0, 0.001), "short": (0.004, 0.012), "receding": (0.002, 0.008)}
    low, high = thick.get(style, (0.003, 0.008) if style == "bald on top" else (0.01, 0.026))
    return Cut(
        style=style,
        line=0.196
        + float(np.clip(rng.normal(0, 0.005), -0.009, 0.012))
        + float(rng.uniform(0.012, 0.035)) * (style == "receding"),
        temples=float(rng.uniform(0, 0.012) * (0.4 + male)) + 0.015 * (style == "receding"),
        side=-0.064 + float(rng.normal(0, 0.005)),
        burns=float(rng.uniform(0.085, 0.125)) if male > 0.5 else float(rng.uniform(0.1, 0.135)),
        fringe=float(rng.uniform(0.01, 0.032)) if style == "fringe" else 0.0,
        parting=float(rng.uniform(-0.045, 0.045)),
        volume=float(rng.uniform(low, high)),
        curl=float(rng.random() ** 2),
    )


def inside_hair(cut: Cut, x: Map, y: Map, z: Map) -> Map:
    """How far places on the average head lie inside (positive) or outside the hair, in metres; about [-0.2, 0.1].

    Args:
        cut: the haircut.
        x: to the person's left, metres; `y` (backwards) and `z` (upwards) have the same shape.
        y: see `x`.
        z: see `x`.
    """
    if cut.style == "none":
        return np.full(np.shape(x), -0.1, np.float32)
    across = np.abs(x)
    line = cut.line - 0.004 * smoothstep(1 - across / 0.012) + cut.temples * smoothstep((across - 0.018) / 0.025)
    if cut.fringe:
        reach = np.abs(x - cut.parting)
        line -= cut.fringe * smoothstep((0.062 - across) / 0.02) * (0.55 + 0.45 * smoothstep(reach / 0.03))
    front = z - line + 40 * np.maximum(across - 0.034, 0) ** 2
    low = 0.045 if cut.style == "covering" else np.where(y > -0.03, 0.07, cut.burns)
    side = np.minimum(y - cut.side, z - low)
    if cut.style == "bald on top":
        inside = np.minimum(side, 0.196 - z + 0.25 * np.maximum(y, -0.06))
    else:
        inside = _smooth_maximum(front, side, 0.008)
    if cut.style != "covering":
        inside = np.minimum(inside, np.maximum(1.5 * (EAR - across), 1.2 * (z - 0.168)))
    return np.minimum(inside, 0.0005 if cut.style == "shaved" else 0.1).astype(np.float32)


def _smooth_maximum(a: Map, b: Map, width: float) -> Map:
    near = np.clip(0.5 + 0.5 * (a - b) / width, 0, 1)
    return b + (a - b) * near + width * near * (1 - near)


def hair_of(head: Head, cut: Cut) -> Map:
    """(V,) metres inside the hair, as `identity.Person.hair`; negative off the skin."""
    inside = inside_hair(cut, *head.template.T)
    return np.where(_scalp(head)[2], inside, -0.1).astype(np.float32)


def give_volume(head: Head, cut: Cut, rest: Map, rng: np.random.Generator) -> Map:
    """(V, 3) a face whose scalp is moved outwards where hair is; the landmarks stay where they are.

    Args:
        head: the head.
        cut: the haircut.
        rest: (V, 3) the bare face.
        rng: for the hair's unevenness.
    """
    free, outwards, _ = _scalp(head)
    if cut.volume == 0:
        return rest
    x, y, z = head.template.T
    inside = smoothstep((inside_hair(cut, x, y, z) - 0.001) / 0.022)
    top = 0.35 + 0.65 * smoothstep((z - 0.13) / 0.06)
    if cut.style == "covering":
        top = np.maximum(top, 0.9)
    waves = rng.normal(0, 1, 3) * cut.curl
    phase = rng.uniform(0, 6, 3)
    uneven = 1 + 0.12 * sum(
        waves[k] * np.sin(pace * axis + phase[k]) for k, (pace, axis) in enumerate(((90, x), (80, y), (85, z)))
    )
    out = rest + outwards * (free * inside * top * cut.volume * np.clip(uneven, 0.5, 1.5))[:, None].astype(np.float32)
    if cut.style == "covering":
        low = (
            inside
            * smoothstep((y + 0.056) / 0.016)
            * smoothstep((np.abs(x) - 0.045) / 0.02)
            * smoothstep((0.185 - z) / 0.04)
        )
        out[:, 0] += low * (np.sign(x) * _curtain(y, z, cut.volume) - out[:, 0])
    return out


def _curtain(y: Map, z: Map, volume: float) -> Map:
    """How far from the middle hair hangs that covers the ears."""
    back = np.clip((y + 0.03) / 0.1, 0, 1)
    return ((0.084 + 0.6 * volume) * np.sqrt(1 - 0.9 * back**2) * (1 - 0.25 * np.clip((z - 0.14) / 0.1, 0, 1))).astype(
        np.float32
    )


def paint_edge(rng: np.random.Generator, head: Head, cut: Cut, colour: Colour, texture: Map) -> None:
    """Paints the strands at the hairline into a (TEXTURE, TEXTURE, 3) skin, so that the hair has no hard edge."""
    if cut.style == "none":
        return
    row, column, x, y, z = _front(head)
    inside = inside_hair(cut, x, y, z)
    near = np.flatnonzero((inside > -0.02) & (inside < 0.03))
    row, column = row[near], column[near]
    strands = noise(rng, 1.6, 14)[row, column]
    reach = np.float32(0.012 if cut.fringe else 0.008)
    ragged = np.clip(np.float32(0.0028) * strands + np.float32(0.002) * noise(rng, 8)[row, column], -0.006, 0.006)
    cover = smoothstep((inside[near] + np.float32(0.006) + ragged) / reach)
    cover *= np.float32(0.55 if cut.style == "shaved" else 0.92)
    shade = colour.astype(np.float32) * (1 + np.float32(0.18) * strands)[:, None]
    skin = texture[row, column]
    texture[row, column] = np.clip(skin + cover[:, None] * (shade - skin), 0, 1)


@functools.lru_cache(maxsize=2)
def _scalp(head: Head) -> tuple[Map, Map, NDArray[np.bool_]]:
    """(V,) how freely hair may move a vertex, in [0, 1]; (V, 3) unit directions outwards; (V,) which are skin."""
    skin = np.zeros(len(head.template), np.float32)
    skin[np.unique(head.faces[head.material == SKIN])] = 1
    fixed = head.template[head.landmarks]
    near = np.linalg.norm(head.template[:, None] - fixed[None], axis=2).min(axis=1)
    centre = np.array([0, -0.035, 0.15], np.float32)
    outwards = head.template - centre
    outwards[:, 2] = np.where(outwards[:, 2] < 0, 0.2 * outwards[:, 2], outwards[:, 2])
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    return skin * smoothstep((near - _KEEP) / 0.012), outwards.astype(np.float32), skin > 0


@functools.lru_cache(maxsize=2)
def _front(head: Head) -> tuple[NDArray[np.int64], NDArray[np.int64], Map, Map, Map]:
    """Row, column, x, y and z of the pixels of the texture where a hairline may run."""
    x, z = texture_grid()
    depth = _depth(head)
    row, column = np.nonzero((depth < 0) & (z > 0.085) & (np.abs(x) < 0.09) & ((z > 0.155) | (np.abs(x) > 0.05)))
    return row, column, x[row, column], depth[row, column], z[row, column]


@functools.lru_cache(maxsize=2)
def _depth(head: Head) -> Map:
    """(TEXTURE, TEXTURE) y of the skin of the average head, as seen from the front; 0.1 where there is none."""
    steps = 14
    a, b = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps)))
    inside = a + b <= 1
    weights = np.stack([a, b, 1 - a - b], axis=-1)[inside].astype(np.float32)
    points = np.einsum("kc,fcd->fkd", weights, head.template[head.faces[head.material == SKIN]]).reshape(-1, 3)
    column, row = (np.clip(front_place(points[:, [0, 2]]) * TEXTURE, 0, TEXTURE - 1).astype(np.int64)).T
    depth = np.full((TEXTURE, TEXTURE), 0.1, np.float32)
    np.minimum.at(depth, (row, column), points[:, 1])
    for axis in (0, 1, 0, 1):  # where no sample of the face fell on a pixel, the back of the head may have
        depth = np.minimum(depth, np.minimum(np.roll(depth, 1, axis), np.roll(depth, -1, axis)))
    return depth
