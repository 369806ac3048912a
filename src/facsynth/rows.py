"""Scenes, persons and things as the rows of numbers that the drawing kernels read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facsynth.identity import Person
from facsynth.scene import Camera, Scene, Vector, unit
from facsynth.solids import Solids
from facsynth.texture import TEXTURE, TEXTURE_SPAN

LEVELS = 4
"""How many sizes of the skin texture there are, each half of the one before."""

_BRIGHTNESS = 0.3  # linear light of a well exposed face
_ADAPTATION = 0.35  # 0: a camera that never adapts, 1: every face comes out equally bright
_VEIL = 0.2  # how much darker the whites of the eyes of dark faces are drawn

Row = dict[str, Any]


def exposure(scene: Scene, person: Person) -> float:
    """What the camera multiplies light by: half-way between none and the same brightness for every face."""
    room = scene.habits
    facing = [np.clip(0.35 + 0.65 * lamp.direction[2], 0, 1) for lamp in room.lights]
    lamps = sum(share * lamp.colour for share, lamp in zip(facing, room.lights, strict=True))
    light = 0.6 * lamps + 0.5 * (room.sky + room.ground)
    seen = float(np.mean(light * person.colours["skin"]))
    return float(room.exposure * (_BRIGHTNESS / seen) ** _ADAPTATION)


def view_row(scene: Scene, camera: Camera, width: int, rays: int) -> Row:
    """The `View` of an image `width` pixels wide, without what depends on the rest of its batch."""
    samples = width * rays
    texels = abs(camera.turn) * scene.habits.distance / width * TEXTURE / TEXTURE_SPAN  # in a pixel
    turn = samples / camera.turn
    return {
        "lights": len(scene.habits.lights),
        "level": int(np.clip(np.round(np.log2(texels)), 0, LEVELS - 1)),
        "origin": camera.origin,
        "right": camera.right,
        "up": camera.up,
        "forward": camera.forward,
        "corner": camera.forward + camera.direction(camera.start),
        "across": camera.direction(camera.turn / samples),
        "down": camera.direction(camera.turn * 1j / samples),
        "start": (camera.start.real, camera.start.imag),
        "turn": (turn.real, turn.imag),
        "sky": scene.habits.sky,
        "ground": scene.habits.ground,
    }


def lamp_rows(image: int, scene: Scene, camera: Camera) -> list[Row]:
    """The `Lamp`s of an image."""
    rows = []
    for light in scene.habits.lights:
        x, y, z = light.direction
        direction = camera.right * x + camera.up * y - camera.forward * z
        across, down = _axes(direction, camera)
        basis = {"direction": direction, "across": across, "down": down}
        rows.append({"image": image, "colour": light.colour, "softness": light.softness, **basis})
    return rows


def _axes(direction: Vector, camera: Camera) -> tuple[Vector, Vector]:
    """What is to the right and what is below, seen from a lamp in that direction."""
    overhead = abs(float(direction @ camera.up)) > 0.9
    across = unit(np.cross(camera.forward if overhead else camera.up, direction))
    return across, -np.cross(direction, across)


def look_row(person: Person) -> Row:
    """The `Look` of a person."""
    colours = {name: value for name, value in person.colours.items() if name != "skin"}
    # The exposure that a dark face gets would make the whites of its eyes glow.
    colours["sclera"] = colours["sclera"] * np.clip(person.colours["skin"].mean() / _BRIGHTNESS, 0, 1) ** _VEIL
    return {**colours, "pupil": person.pupil, "gloss": person.gloss, "lash": person.lash}


def capsule_rows(solids: Sequence[Solids]) -> list[Row]:
    """The `Capsule`s of several images."""
    names = ("start", "end", "radius", "colour", "gloss")
    return [
        {"image": image, **{name: getattr(things, name)[k] for name in names}}
        for image, things in enumerate(solids)
        for k in range(len(things))
    ]
