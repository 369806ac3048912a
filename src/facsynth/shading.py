"""Kernels that colour what is seen: one light computation for each pixel and surface in it."""

# mypy: ignore-errors
# ruff: noqa: UP018, SIM109

import warp as wp

from facsynth.kernels import (
    EMPTY,
    EYE,
    MOUTH,
    NOTHING,
    SKIN,
    SOCKET,
    SOLID,
    TEETH,
    TONGUE,
    Batch,
    Surface,
    View,
    bilinear,
    depth_of,
    level_start,
    number_of,
    ramp,
)
from facsynth.lighting import shine_on
from facsynth.materials import inner_matter, paint_skin, plain, spread

wp.set_module_options({"enable_backward": False})

NEAR = wp.constant(0.004)  # metres of depth within which samples of one pixel may share their light
ALIKE = wp.constant(0.85)  # least cosine between the normals of such samples


@wp.func
def corner_weights(a: wp.vec3, b: wp.vec3, c: wp.vec3, x: float, y: float) -> wp.vec3:
    """Weights of a triangle's corners, seen at `a`, `b`, `c` (see `Batch.places`), for what is seen at (x, y).

    Correct in perspective; a place outside the triangle is moved to its edge.
    """
    wa = (c[0] - b[0]) * (y - b[1]) - (x - b[0]) * (c[1] - b[1])
    wb = (a[0] - c[0]) * (y - c[1]) - (x - c[0]) * (a[1] - c[1])
    wc = (b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])
    w = wp.vec3(wp.min(wa, 0.0) * a[2], wp.min(wb, 0.0) * b[2], wp.min(wc, 0.0) * c[2])
    return w / wp.min(w[0] + w[1] + w[2], -1e-12)


@wp.func
def spread_of(table: wp.array2d(dtype=wp.vec3), row: int, corners: wp.vec3i, w: wp.vec3) -> wp.vec3:
    """A vector inside a triangle, from one row of a table with a column a vertex."""
    return table[row, corners[0]] * w[0] + table[row, corners[1]] * w[1] + table[row, corners[2]] * w[2]


@wp.func
def seclusion(keys: wp.array3d(dtype=wp.int64), image: int, i: int, j: int, zoom: float, reach: float) -> float:
    """Share of the view that what lies nearer to the camera, within `reach` metres beside a sample, takes from it.

    The eyes and the mouth open and close, so that this cannot be known beforehand. What is above counts most, because
    light mostly comes from above.

    Args:
        keys: the depth keys of the images.
        image: which image.
        i: row of the sample.
        j: column of the sample.
        zoom: samples in a metre at a depth of one metre.
        reach: in metres.
    """
    depth = depth_of(keys[image, i, j])
    hidden, weights = float(0.0), float(0.0)
    for k in range(8):
        angle = (float(k) + 0.5) * 0.785398
        right, below = wp.cos(angle), wp.sin(angle)
        weight = 1.0 - 0.75 * below
        for step in range(1, 4):
            radius = reach * float(step) / 3.0 * zoom / depth
            row = wp.clamp(i + int(wp.round(below * radius)), 0, keys.shape[1] - 1)
            column = wp.clamp(j + int(wp.round(right * radius)), 0, keys.shape[2] - 1)
            height = depth - depth_of(keys[image, row, column])
            weights += weight
            hidden += weight * ramp(0.0, 0.15 * reach, height - 0.0001)
    return hidden / weights


@wp.func
def shade_solid(batch: Batch, view: View, number: int, x: float, y: float, depth: float, pixel: float) -> wp.vec3:
    """Colour of a capsule at (x, y) in samples; `pixel` is the size of a pixel at a depth of one metre, in metres."""
    capsule = batch.capsules[number]
    step = view.corner + view.across * x + view.down * y
    point = view.origin + step * depth
    axis = capsule.end - capsule.start
    share = wp.clamp(wp.dot(point - capsule.start, axis) / wp.max(wp.dot(axis, axis), 1e-12), 0.0, 1.0)
    n = wp.normalize(point - capsule.start - axis * share)
    # On what is thin as a pixel a highlight is smaller than a pixel: it is spread, or it would sparkle.
    size = pixel * depth / capsule.radius
    blunt = 1.0 + 20.0 * size * size
    matter = plain(capsule.colour, 0.15, 40.0 / blunt, capsule.gloss / wp.sqrt(blunt))
    matter.open = 0.85
    return shine_on(batch, view, matter, point, n, n, wp.normalize(step))


@wp.func
def shade_face(
    surface: Surface, batch: Batch, view: View, image: int, face: int, x: float, y: float, hidden: float
) -> wp.vec3:
    """Colour of a triangle of the head at (x, y) in samples."""
    look = batch.looks[view.person]
    corners, material = surface.index[face], surface.material[face]
    w = corner_weights(
        batch.places[image, corners[0]], batch.places[image, corners[1]], batch.places[image, corners[2]], x, y
    )
    smooth = wp.normalize(spread_of(batch.normals, image, corners, w))
    point = spread_of(batch.vertices, image, corners, w)
    paint = spread(surface.paint, corners, w)
    open = (
        surface.openness[corners[0]] * w[0] + surface.openness[corners[1]] * w[1] + surface.openness[corners[2]] * w[2]
    )
    ray = wp.normalize(point - view.origin)
    n = smooth
    if material == SKIN or material == SOCKET:
        place = surface.front[corners[0]] * w[0] + surface.front[corners[1]] * w[1] + surface.front[corners[2]] * w[2]
        matter = paint_skin(batch, look, view, material, corners, w, place, paint)
        matter.open = open
        side = batch.side >> view.level
        start = level_start(batch.side, view.level)
        relief = bilinear(batch.relief, image, start, side, side, place[0], place[1]) * matter.bare
        across, upwards = wp.vec3(1.0, 0.0, 0.0) - n * n[0], wp.vec3(0.0, 0.0, 1.0) - n * n[2]
        n = wp.normalize(n - across * relief[0] - upwards * relief[1])
        keep = 1.0 - wp.clamp(relief[2], 0.0, 1.0)
        matter.albedo = matter.albedo * keep
        matter.open = matter.open * keep
        return shine_on(batch, view, matter, point, smooth, n, ray)
    matter = inner_matter(surface, look, material, corners, w, paint, hidden)
    if material == MOUTH or material == TONGUE:
        matter.albedo = matter.albedo * (0.4 + 0.6 * open)
    return shine_on(batch, view, matter, point, smooth, n, ray)


@wp.func
def kind_of(surface: Surface, key: wp.int64) -> int:
    """What is at a sample; lids and eye sockets count as skin."""
    if key >= EMPTY:
        return NOTHING
    if number_of(key) >= surface.material.shape[0]:
        return SOLID
    return wp.where(surface.material[number_of(key)] == SOCKET, SKIN, surface.material[number_of(key)])


@wp.func
def alike(surface: Surface, batch: Batch, image: int, one: wp.int64, kind: int, other: wp.int64) -> bool:
    """Whether the light of one sample, which shows `kind`, may stand for that of another."""
    if kind == NOTHING or other >= EMPTY:
        return kind == NOTHING and other >= EMPTY
    if kind == EYE or kind == TEETH:
        return False
    if number_of(one) == number_of(other):
        return True
    if kind == SOLID or kind_of(surface, other) != kind or wp.abs(depth_of(one) - depth_of(other)) > NEAR:
        return False
    a, b = surface.index[number_of(one)][0], surface.index[number_of(other)][0]
    return wp.dot(batch.normals[image, a], batch.normals[image, b]) > ALIKE


@wp.func
def backdrop(batch: Batch, paper: wp.vec3i, u: float, v: float) -> wp.vec3:
    """Colour of the background, stretched over the image; u to the right and v down, both in [0, 1]."""
    return bilinear(batch.backdrop, 0, paper[0], paper[1], paper[2], u, v)


@wp.kernel
def draw(surface: Surface, batch: Batch, rays: int, out: wp.array3d(dtype=wp.vec3)) -> None:
    """Draws pixel (i, j) of image `image` from rays x rays samples, of which those alike share one colour."""
    image, i, j = wp.tid()
    view = batch.views[image]
    top, left = i * rays, j * rays
    total = wp.vec3(0.0, 0.0, 0.0)
    done = wp.int64(0)  # one bit a sample
    for first in range(rays * rays):
        if ((done >> wp.int64(first)) & wp.int64(1)) == wp.int64(0):
            key = batch.keys[image, top + first / rays, left + first % rays]
            kind = kind_of(surface, key)
            x, y, count = float(first % rays), float(first / rays), float(1.0)
            for other in range(first + 1, rays * rays):
                if ((done >> wp.int64(other)) & wp.int64(1)) == wp.int64(0):
                    beside = batch.keys[image, top + other / rays, left + other % rays]
                    if alike(surface, batch, image, key, kind, beside):
                        done = done | (wp.int64(1) << wp.int64(other))
                        x += float(other % rays)
                        y += float(other / rays)
                        count += 1.0
            x, y = float(left) + x / count + 0.5, float(top) + y / count + 0.5
            if kind == NOTHING:
                u, v = x / float(batch.keys.shape[2]), y / float(batch.keys.shape[1])
                total += backdrop(batch, view.backdrop, u, v) * count
            elif kind == SOLID:
                number = number_of(key) - surface.material.shape[0]
                pixel = float(rays) / wp.length(view.turn)
                total += shade_solid(batch, view, number, x, y, depth_of(key), pixel) * count
            else:
                hidden = float(0.0)
                if kind != SKIN:
                    reach = wp.where(kind == EYE, 0.006, 0.01)
                    hidden = seclusion(
                        batch.keys, image, top + first / rays, left + first % rays, wp.length(view.turn), reach
                    )
                total += shade_face(surface, batch, view, image, number_of(key), x, y, hidden) * count
    out[image, i, j] = total * (view.gain / float(rays * rays))
