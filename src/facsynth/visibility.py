"""Kernels that find what is seen at each sample of an image and from each lamp, by rasterising into depth keys."""

# mypy: ignore-errors
# ruff: noqa: UP018

import warp as wp

from facsynth.kernels import Capsule, Lamp, View, key_of, lamp_place

wp.set_module_options({"enable_backward": False})

SLACK = wp.constant(1e-4)  # samples just outside a triangle count, so that no gap opens between two
MARGIN = wp.constant(3.0)  # texels around the face in a shadow map


@wp.kernel
def flat_normals(
    vertices: wp.array2d(dtype=wp.vec3), index: wp.array(dtype=wp.vec3i), out: wp.array2d(dtype=wp.vec3)
) -> None:
    """The normal of each triangle, as long as twice its area."""
    image, f = wp.tid()
    corners = index[f]
    a = vertices[image, corners[0]]
    out[image, f] = wp.cross(vertices[image, corners[1]] - a, vertices[image, corners[2]] - a)


@wp.kernel
def smooth_normals(
    flat: wp.array2d(dtype=wp.vec3), around: wp.array2d(dtype=wp.int32), out: wp.array2d(dtype=wp.vec3)
) -> None:
    """The unit normal of each vertex: the mean of the triangles around it."""
    image, v = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    for k in range(around.shape[1]):
        f = around[v, k]
        if f < flat.shape[1]:  # rows are filled up with the number of triangles
            total += flat[image, f]
    out[image, v] = wp.normalize(total)


@wp.kernel
def project(views: wp.array(dtype=View), vertices: wp.array2d(dtype=wp.vec3), out: wp.array2d(dtype=wp.vec3)) -> None:
    """Where each vertex is seen: samples right and down, and 1 / depth, which is -1 behind the camera."""
    image, v = wp.tid()
    view = views[image]
    offset = vertices[image, v] - view.origin
    depth = wp.dot(offset, view.forward)
    if depth < 0.01:
        out[image, v] = wp.vec3(0.0, 0.0, -1.0)
    else:
        x = wp.dot(offset, view.right) / depth - view.start[0]
        y = -wp.dot(offset, view.up) / depth - view.start[1]
        out[image, v] = wp.vec3(x * view.turn[0] - y * view.turn[1], x * view.turn[1] + y * view.turn[0], 1.0 / depth)


@wp.kernel
def span(
    views: wp.array(dtype=View),
    lamps: wp.array(dtype=Lamp),
    vertices: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    places: wp.array2d(dtype=wp.vec3),
    width: float,
    height: float,
    bounds: wp.array2d(dtype=float),
) -> None:
    """How far the part of the face that is seen reaches, as a lamp sees it: least x and y, least -x and -y."""
    number, v = wp.tid()
    lamp = lamps[number]
    place = places[lamp.image, v]
    inside = place[0] > 0.0 and place[0] < width and place[1] > 0.0 and place[1] < height and place[2] > 0.0
    point = vertices[lamp.image, v]
    if inside and wp.dot(normals[lamp.image, v], views[lamp.image].origin - point) > 0.0:
        x, y = wp.dot(point, lamp.across), wp.dot(point, lamp.down)
        wp.atomic_min(bounds, number, 0, x)
        wp.atomic_min(bounds, number, 1, y)
        wp.atomic_min(bounds, number, 2, -x)
        wp.atomic_min(bounds, number, 3, -y)


@wp.kernel
def fit(bounds: wp.array2d(dtype=float), side: int, out: wp.array(dtype=wp.vec3)) -> None:
    """How the shadow maps cover what `span` found; see `Batch.fits`."""
    number = wp.tid()
    x, y = float(bounds[number, 0]), float(bounds[number, 1])
    reach = wp.max(-bounds[number, 2] - x, -bounds[number, 3] - y)
    if reach > 1.0 or reach < 0.01:  # hardly anything of the head is seen
        x, y, reach = -0.2, -0.2, 0.4
    scale = (float(side) - 2.0 * MARGIN) / reach
    out[number] = wp.vec3(x - MARGIN / scale, y - MARGIN / scale, scale)


@wp.kernel
def throw(
    lamps: wp.array(dtype=Lamp),
    fits: wp.array(dtype=wp.vec3),
    vertices: wp.array2d(dtype=wp.vec3),
    out: wp.array2d(dtype=wp.vec3),
) -> None:
    """Where each vertex lies in each shadow map; see `lamp_place`."""
    number, v = wp.tid()
    lamp = lamps[number]
    out[number, v] = lamp_place(lamp, fits[number], vertices[lamp.image, v])


@wp.kernel
def rasterise(
    places: wp.array2d(dtype=wp.vec3),
    index: wp.array(dtype=wp.vec3i),
    perspective: int,
    keys: wp.array3d(dtype=wp.int64),
) -> None:
    """Draws each triangle that is seen from its front into an image of depth keys.

    What is seen from behind (the walls of the mouth, where they come through the skin) is looked through.

    Args:
        places: (n, V) right and down in samples; then depth, or 1 / depth with perspective.
        index: (F,) vertices of the triangles.
        perspective: whether depth is linear in 1 / depth across the image.
        keys: (n, height, width).
    """
    image, f = wp.tid()
    corners = index[f]
    a, b, c = places[image, corners[0]], places[image, corners[1]], places[image, corners[2]]
    area = (c[0] - a[0]) * (b[1] - a[1]) - (b[0] - a[0]) * (c[1] - a[1])
    if area < 1e-6 or wp.min(wp.min(a[2], b[2]), c[2]) <= 0.0:
        return
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]) - 0.5)), 0)
    right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]) - 0.5)), keys.shape[2] - 1)
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]) - 0.5)), 0)
    bottom = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]) - 0.5)), keys.shape[1] - 1)
    bx, by = (c[1] - a[1]) / area, (c[0] - a[0]) / area
    cx, cy = (b[1] - a[1]) / area, (b[0] - a[0]) / area
    for i in range(top, bottom + 1):
        y = float(i) + 0.5 - a[1]
        for j in range(left, right + 1):
            x = float(j) + 0.5 - a[0]
            beta = by * y - bx * x
            gamma = cx * x - cy * y
            if beta >= -SLACK and gamma >= -SLACK and beta + gamma <= 1.0 + SLACK:
                depth = a[2] + beta * (b[2] - a[2]) + gamma * (c[2] - a[2])
                if perspective != 0:
                    depth = 1.0 / depth
                wp.atomic_min(keys, image, i, j, key_of(depth, f))


@wp.func
def reach_capsule(capsule: Capsule, origin: wp.vec3, ray: wp.vec3) -> float:
    """How many times `ray` from `origin` it is to a capsule, at most 1e6, which means that it is missed."""
    length2 = wp.dot(ray, ray)
    # From near the capsule, or differences of large numbers would eat up the thickness of a spectacle frame.
    ahead = wp.dot((capsule.start + capsule.end) * 0.5 - origin, ray) / length2
    near = origin + ray * ahead
    axis, to_start = capsule.end - capsule.start, near - capsule.start
    along2, along, off = wp.dot(axis, axis), wp.dot(axis, ray), wp.dot(axis, to_start)
    r2 = capsule.radius * capsule.radius
    a = along2 * length2 - along * along
    b = along2 * wp.dot(ray, to_start) - off * along
    c = along2 * wp.dot(to_start, to_start) - off * off - r2 * along2
    root = b * b - a * c
    end = off
    if a > 1e-10 * length2 * along2 and a > 1e-20:
        if root < 0.0:
            return 1e6
        t = (-b - wp.sqrt(root)) / a
        end = off + t * along
        if end > 0.0 and end < along2:
            return ahead + t
    elif along > 0.0:
        end = 0.0
    else:
        end = along2
    tip = to_start
    if end > 0.0:
        tip = near - capsule.end
    b = wp.dot(ray, tip)
    root = b * b - length2 * (wp.dot(tip, tip) - r2)
    if root < 0.0:
        return 1e6
    return ahead + (-b - wp.sqrt(root)) / length2


@wp.kernel
def rasterise_capsules(
    views: wp.array(dtype=View), capsules: wp.array(dtype=Capsule), first: int, keys: wp.array3d(dtype=wp.int64)
) -> None:
    """Draws row i of each capsule into the image it belongs to; its number counts from `first`."""
    number, i = wp.tid()
    capsule = capsules[number]
    view = views[capsule.image]
    zoom = wp.length(view.turn)
    left, right, top, bottom = float(1e9), float(-1e9), float(1e9), float(-1e9)
    for k in range(2):
        offset = capsule.start - view.origin
        if k == 1:
            offset = capsule.end - view.origin
        depth = wp.dot(offset, view.forward)
        if depth < capsule.radius + 0.02:  # beside or behind the camera
            left, right, top, bottom = -1e9, 1e9, -1e9, 1e9
        else:
            x = wp.dot(offset, view.right) / depth - view.start[0]
            y = -wp.dot(offset, view.up) / depth - view.start[1]
            u, v = x * view.turn[0] - y * view.turn[1], x * view.turn[1] + y * view.turn[0]
            # A ball near the edge of a picture looks longer than one in its middle.
            wide = 1.0 + wp.abs(wp.dot(offset, offset) / (depth * depth) - 1.0)
            radius = wide * zoom * capsule.radius / (depth - capsule.radius) + 1.0
            left, right = wp.min(left, u - radius), wp.max(right, u + radius)
            top, bottom = wp.min(top, v - radius), wp.max(bottom, v + radius)
    if float(i) < top or float(i) > bottom:
        return
    start, stop = wp.max(left, 0.0), wp.min(right, float(keys.shape[2]))
    for j in range(int(start), int(stop)):
        ray = view.corner + view.across * (float(j) + 0.5) + view.down * (float(i) + 0.5)
        depth = reach_capsule(capsule, view.origin, ray)
        if depth > 0.02 and depth < 1e5:
            wp.atomic_min(keys, capsule.image, i, j, key_of(depth, first + number))


@wp.kernel
def shade_capsules(
    views: wp.array(dtype=View),
    lamps: wp.array(dtype=Lamp),
    fits: wp.array(dtype=wp.vec3),
    capsules: wp.array(dtype=Capsule),
    first: int,
    keys: wp.array3d(dtype=wp.int64),
) -> None:
    """Draws row i of each capsule into the shadow map of its image's lamp `light`."""
    number, light, i = wp.tid()
    capsule = capsules[number]
    view = views[capsule.image]
    if light >= view.lights:
        return
    lamp = lamps[view.lamps + light]
    shift = fits[view.lamps + light]
    start, end = lamp_place(lamp, shift, capsule.start), lamp_place(lamp, shift, capsule.end)
    radius = capsule.radius * shift[2] + 1.0
    if float(i) < wp.min(start[1], end[1]) - radius or float(i) > wp.max(start[1], end[1]) + radius:
        return
    left = wp.max(wp.min(start[0], end[0]) - radius, 0.0)
    right = wp.min(wp.max(start[0], end[0]) + radius, float(keys.shape[2]))
    for j in range(int(left), int(right)):
        x = (float(j) + 0.5) / shift[2] + shift[0]
        y = (float(i) + 0.5) / shift[2] + shift[1]
        origin = lamp.across * x + lamp.down * y + lamp.direction * 4.0
        depth = reach_capsule(capsule, origin, -lamp.direction)
        if depth > 0.0 and depth < 1e5:
            wp.atomic_min(keys, view.lamps + light, i, j, key_of(depth, first + number))
