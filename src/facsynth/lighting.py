"""Warp functions for light: soft shadows out of shadow maps, and what a surface makes of the light it gets."""

# mypy: ignore-errors
# ruff: noqa: UP018

import warp as wp

from facsynth.kernels import Batch, Lamp, View, depth_of, lamp_place, ramp

wp.set_module_options({"enable_backward": False})

LEAK = wp.constant(0.03)  # light that reaches into a shadow
FAR = wp.constant(0.03)  # metres between a surface and what shadows it, at which a shadow is softest
GRAZE = wp.constant(0.004)  # metres


@wp.struct
class Matter:
    """What a surface does with light.

    `wrap` is how far past the edge of the shadow diffuse light reaches (in skin, red light most), `power` how narrow
    and `gloss` how bright its highlights are, `open` the share of its surroundings that it sees, `lift` how far
    off the surface shadows are looked for, in metres, and `bare` the share of the skin that no hair covers.
    """

    albedo: wp.vec3
    wrap: wp.vec3
    power: wp.float32
    gloss: wp.float32
    open: wp.float32
    lift: wp.float32
    wet: wp.float32
    bare: wp.float32


@wp.func
def wrapped(cosine: float, amount: wp.vec3) -> wp.vec3:
    """Diffuse light that reaches a little past the edge of the shadow."""
    return wp.vec3(
        wp.max((cosine + amount[0]) / (1.0 + amount[0]), 0.0),
        wp.max((cosine + amount[1]) / (1.0 + amount[1]), 0.0),
        wp.max((cosine + amount[2]) / (1.0 + amount[2]), 0.0),
    )


@wp.func
def behind(shadows: wp.array3d(dtype=wp.int64), lamp: int, i: int, j: int, depth: float) -> float:
    """1 if something lies in front of `depth` at a texel of a shadow map."""
    if i < 0 or j < 0 or i >= shadows.shape[1] or j >= shadows.shape[2]:
        return 0.0
    return wp.where(depth_of(shadows[lamp, i, j]) < depth, 1.0, 0.0)


@wp.func
def lit(
    shadows: wp.array3d(dtype=wp.int64), number: int, lamp: Lamp, fit: wp.vec3, point: wp.vec3, n: wp.vec3
) -> float:
    """Share of a lamp's light that reaches a point, in [0, 1].

    Looks first for what is in the way; its distance then says how wide the edge of its shadow is. The depth of the
    surface itself is followed across the map, so that it does not shadow itself.

    Args:
        shadows: the shadow maps.
        number: which of them is the lamp's.
        lamp: the lamp.
        fit: how its map covers the face.
        point: a little off the surface.
        n: the normal there, facing the lamp.
    """
    place = lamp_place(lamp, fit, point)
    steep = wp.max(wp.dot(n, lamp.direction), 0.2) * fit[2]
    slope_x, slope_y = wp.dot(n, lamp.across) / steep, wp.dot(n, lamp.down) / steep
    reach = wp.clamp(0.5 * lamp.softness * FAR * fit[2], 1.5, 14.0)
    found, gap = float(0.0), float(0.0)
    for a in range(4):
        for b in range(4):
            x, y = (float(b) - 1.5) / 1.5 * reach, (float(a) - 1.5) / 1.5 * reach
            i, j = int(wp.floor(place[1] + y)), int(wp.floor(place[0] + x))
            if i >= 0 and j >= 0 and i < shadows.shape[1] and j < shadows.shape[2]:
                nearer = place[2] + slope_x * x + slope_y * y - depth_of(shadows[number, i, j])
                if nearer > 0.0:
                    found += 1.0
                    gap += nearer
    if found == 0.0:
        return 1.0
    radius = wp.clamp(0.5 * lamp.softness * gap / found * fit[2], 1.0, reach)
    dark = float(0.0)
    for a in range(4):
        for b in range(4):
            x, y = (float(b) - 1.5) / 2.0 * radius, (float(a) - 1.5) / 2.0 * radius
            depth = place[2] + slope_x * x + slope_y * y
            x, y = place[0] + x - 0.5, place[1] + y - 0.5
            i, j = int(wp.floor(y)), int(wp.floor(x))
            p, q = y - float(i), x - float(j)
            upper = behind(shadows, number, i, j, depth) * (1.0 - q) + behind(shadows, number, i, j + 1, depth) * q
            lower = (
                behind(shadows, number, i + 1, j, depth) * (1.0 - q) + behind(shadows, number, i + 1, j + 1, depth) * q
            )
            dark += upper * (1.0 - p) + lower * p
    return 1.0 - dark / 16.0


@wp.func
def glint(n: wp.vec3, half: wp.vec3, matter: Matter, lamp: Lamp) -> float:
    """How bright a lamp's highlight is: a lobe, and on what is wet its mirror image."""
    cosine = wp.max(wp.dot(n, half), 0.0)
    shine = float(0.0)
    if matter.gloss > 0.0 and cosine > 0.5:
        shine = matter.gloss * wp.pow(cosine, matter.power)
    if matter.wet > 0.0:
        size = 0.03 + 0.17 * lamp.softness
        shine += matter.wet * ramp(1.0 - 0.5 * size * size * 1.6, 1.0 - 0.5 * size * size * 0.4, cosine)
    return shine


@wp.func
def shine_on(
    batch: Batch, view: View, matter: Matter, point: wp.vec3, smooth: wp.vec3, n: wp.vec3, ray: wp.vec3
) -> wp.vec3:
    """The light that a surface sends to the camera.

    Args:
        batch: for its lamps and shadow maps.
        view: the image.
        matter: of the surface.
        point: on the surface.
        smooth: its normal without the relief of the skin.
        n: its normal.
        ray: unit vector from the camera to the point.
    """
    dome = 0.5 + 0.5 * wp.dot(n, view.up)
    diffuse = (view.sky * dome + view.ground * (1.0 - dome)) * matter.open
    gloss = view.sky * (wp.pow(1.0 - wp.max(-wp.dot(n, ray), 0.0), 4.0) * 0.1 * matter.open)
    for k in range(view.lights):
        number = view.lamps + k
        lamp = batch.lamps[number]
        cosine = wp.dot(smooth, lamp.direction)
        if cosine > -0.25:
            # Where the lamp grazes the surface, from further off it: the edge of a surface's own shadow is for
            # `wrapped` to draw, and the map too coarse.
            off = point + smooth * (matter.lift + GRAZE * (1.0 - ramp(0.0, 0.3, cosine)))
            share = lit(batch.shadows, number, lamp, batch.fits[number], off, smooth)
            # In the edge of a shadow, light comes through the skin: red first.
            bleed = share * (1.0 - share) * matter.wrap[0]
            soft = wp.vec3(share + 0.8 * bleed, share + 0.1 * bleed, share)
            soft = soft * (1.0 - LEAK) + wp.vec3(LEAK, LEAK, LEAK)
            light = wp.cw_mul(wrapped(wp.dot(n, lamp.direction), matter.wrap), soft)
            diffuse += wp.cw_mul(lamp.colour, light)
            gloss += lamp.colour * (share * glint(n, wp.normalize(lamp.direction - ray), matter, lamp))
    return wp.cw_mul(matter.albedo, diffuse) + gloss
