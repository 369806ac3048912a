"""Warp functions for what is seen: skin with its lips and hair, eyes, the inside of the mouth, and plain things."""

# mypy: ignore-errors

import warp as wp

from facsynth.kernels import EYE, SOCKET, TEETH, TONGUE, Batch, Look, Surface, View, bilinear, level_start, ramp
from facsynth.lighting import Matter

wp.set_module_options({"enable_backward": False})


@wp.func
def spread(table: wp.array(dtype=wp.vec3), corners: wp.vec3i, w: wp.vec3) -> wp.vec3:
    """A vector inside a triangle, from a table with a row a vertex."""
    return table[corners[0]] * w[0] + table[corners[1]] * w[1] + table[corners[2]] * w[2]


@wp.func
def eyeball(ball: wp.vec3, look: Look) -> wp.vec3:
    """Colour of the eyeball at a place on its surface (any length; -y is where the eye looks)."""
    p = wp.normalize(ball)
    radius = wp.sqrt(p[0] * p[0] + p[2] * p[2])
    if p[1] > 0.0:
        radius = 1.0
    angle = wp.atan2(p[2], p[0])
    fibres = 0.85 + 0.15 * wp.sin(angle * 23.0 + 4.0 * wp.sin(angle * 5.0))
    iris = look.iris * fibres * (1.0 - ramp(0.24, 0.37, radius)) + look.iris_rim * ramp(0.24, 0.37, radius)
    pupil = ramp(look.pupil - 0.02, look.pupil + 0.02, radius)
    inner = iris * pupil + wp.vec3(0.01, 0.01, 0.012) * (1.0 - pupil)
    outside = look.sclera * (0.76 - 0.32 * ramp(0.5, 1.0, radius))
    pink = 1.0 - 0.18 * ramp(0.45, 0.85, radius)
    outside = wp.cw_mul(outside, wp.vec3(1.0, pink, 0.97 * pink))
    white = ramp(0.35, 0.41, radius)
    return inner * (1.0 - white) + outside * white


@wp.func
def paint_skin(
    batch: Batch,
    look: Look,
    view: View,
    material: int,
    corners: wp.vec3i,
    w: wp.vec3,
    place: wp.vec2,
    paint: wp.vec3,
) -> Matter:
    """The skin with its lips, lash lines and hair, at a place on its texture."""
    matter = Matter()
    side = batch.side >> view.level
    start = level_start(batch.side, view.level)
    skin = bilinear(batch.texture, view.person, start, side, side, place[0], place[1])
    lips = ramp(0.25, 0.95, paint[0])
    matter.albedo = skin * (1.0 - lips) + look.lips * lips
    matter.gloss = 0.6 * look.gloss * (1.0 + lips)
    matter.power = 20.0 + 25.0 * lips
    matter.wrap = wp.vec3(0.2, 0.12, 0.08)
    matter.lift = 0.0012
    matter.bare = 1.0
    if material == SOCKET:
        matter.albedo = look.lid
    lash = paint[1] * look.lash
    matter.albedo = matter.albedo * (1.0 - lash) + look.hair * (0.3 * lash)
    inside = (
        batch.hair[view.person, corners[0]] * w[0]
        + batch.hair[view.person, corners[1]] * w[1]
        + batch.hair[view.person, corners[2]] * w[2]
    )
    if inside > -0.01:
        strands = 0.5 * wp.sin(place[0] * 190.0 + 3.0 * wp.sin(place[1] * 40.0))
        strands = strands * wp.sin(place[0] * 77.0 + place[1] * 61.0)
        covered = ramp(-0.006, 0.006, inside + 0.003 * strands)
        matter.albedo = matter.albedo * (1.0 - covered) + look.hair * ((0.8 + 0.35 * strands) * covered)
        matter.gloss = matter.gloss * (1.0 - 0.5 * covered)
        matter.bare = 1.0 - covered
    return matter


@wp.func
def plain(albedo: wp.vec3, wrap: float, power: float, gloss: float) -> Matter:
    """A matter without subtleties."""
    matter = Matter()
    matter.albedo = albedo
    matter.wrap = wp.vec3(wrap, wrap, wrap)
    matter.power = power
    matter.gloss = gloss
    matter.lift = 0.0005
    matter.open = 1.0
    return matter


@wp.func
def inner_matter(
    surface: Surface, look: Look, material: int, corners: wp.vec3i, w: wp.vec3, paint: wp.vec3, hidden: float
) -> Matter:
    """What is in the eyes and in the mouth, as secluded as `seclusion` says."""
    if material == EYE:
        matter = plain(eyeball(spread(surface.ball, corners, w), look), 0.15, 1.0, 0.0)
        matter.wet = 0.9 * (1.0 - hidden)
        shade = 1.0 - 0.9 * hidden
        matter.albedo = matter.albedo * shade
        matter.open = shade
        return matter
    if material == TEETH:
        # What light comes from inside the mouth is red.
        enamel = wp.vec3(0.72, 0.64 - 0.12 * hidden, 0.52 - 0.14 * hidden)
        gums = wp.vec3(0.42, 0.14, 0.14)
        matter = plain(enamel * (1.0 - paint[2]) + gums * paint[2], 0.3, 60.0, 0.15 * (1.0 - hidden))
    elif material == TONGUE:
        matter = plain(wp.vec3(0.45, 0.14, 0.13), 0.2, 18.0, 0.08 * (1.0 - hidden))
    else:
        matter = plain(wp.vec3(0.25, 0.05, 0.045) * (1.0 - paint[0]) + look.lips * paint[0], 0.1, 18.0, 0.03)
    matter.open = 1.0 - hidden
    matter.albedo = matter.albedo * (1.0 - 0.5 * hidden)
    return matter
