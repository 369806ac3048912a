"""The ray casting kernels; importing them needs `warp`."""

# What follows is Python in looks only: warp compiles it. Its types are none to mypy, and a variable that changes inside
# a loop or a branch has to start as `float(0.0)`, or warp takes it for a constant.
# mypy: ignore-errors
# ruff: noqa: UP018, SIM102, SIM109

import warp as wp

SKIN = wp.constant(0)
MOUTH = wp.constant(1)
TONGUE = wp.constant(2)
EYE = wp.constant(3)


@wp.struct
class Surface:
    """The head's own data, the same for every image.

    `front`, `ball` and `paint` are those of `metafacs.synth.head.Head`.
    """

    index: wp.array(dtype=wp.int32)
    material: wp.array(dtype=wp.int32)
    front: wp.array(dtype=wp.vec2)
    ball: wp.array(dtype=wp.vec3)
    paint: wp.array(dtype=wp.vec3)


@wp.struct
class View:
    """One image: who is seen, from where and in which light. Directions are unit vectors in head coordinates."""

    mesh: wp.uint64
    person: wp.int32
    origin: wp.vec3
    corner: wp.vec3  # ray through the upper left corner of the crop
    across: wp.vec3  # change of the ray from the left to the right edge
    down: wp.vec3  # and from the upper to the lower edge
    key: wp.vec3
    key_colour: wp.vec3
    fill: wp.vec3
    fill_colour: wp.vec3
    right: wp.vec3
    up: wp.vec3
    sky: wp.vec3
    ground: wp.vec3
    softness: wp.float32


@wp.struct
class Look:
    """The colours of one person that are not painted on the skin texture."""

    lips: wp.vec3
    iris: wp.vec3
    iris_rim: wp.vec3
    sclera: wp.vec3
    hair: wp.vec3
    lid: wp.vec3
    pupil: wp.float32
    gloss: wp.float32
    lash: wp.float32


@wp.func
def between(table: wp.array(dtype=wp.vec3), corners: wp.vec3i, weights: wp.vec3) -> wp.vec3:
    """Interpolates a per-vertex vector inside a triangle."""
    return table[corners[0]] * weights[0] + table[corners[1]] * weights[1] + table[corners[2]] * weights[2]


@wp.func
def sample(image: wp.array4d(dtype=wp.float32), n: int, u: float, v: float) -> wp.vec3:
    """Bilinear look-up; u to the right and v down, both in [0, 1]."""
    h, w = image.shape[1], image.shape[2]
    x = wp.clamp(u * float(w) - 0.5, 0.0, float(w) - 1.001)
    y = wp.clamp(v * float(h) - 0.5, 0.0, float(h) - 1.001)
    i, j = int(y), int(x)
    a, b = y - float(i), x - float(j)
    i1, j1 = wp.min(i + 1, h - 1), wp.min(j + 1, w - 1)
    top = wp.vec3(image[n, i, j, 0], image[n, i, j, 1], image[n, i, j, 2]) * (1.0 - b)
    top += wp.vec3(image[n, i, j1, 0], image[n, i, j1, 1], image[n, i, j1, 2]) * b
    low = wp.vec3(image[n, i1, j, 0], image[n, i1, j, 1], image[n, i1, j, 2]) * (1.0 - b)
    low += wp.vec3(image[n, i1, j1, 0], image[n, i1, j1, 1], image[n, i1, j1, 2]) * b
    return top * (1.0 - a) + low * a


@wp.func
def ramp(low: float, high: float, x: float) -> float:
    """0 below `low`, 1 above `high`, smooth between."""
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def eyeball(ball: wp.vec3, look: Look) -> wp.vec3:
    """Colour of the eyeball at a place on its surface (any length; -y is where the eye looks)."""
    p = wp.normalize(ball)
    radius = wp.sqrt(p[0] * p[0] + p[2] * p[2])
    if p[1] > 0.0:
        radius = 1.0
    angle = wp.atan2(p[2], p[0])
    fibres = 0.85 + 0.15 * wp.sin(angle * 23.0 + 4.0 * wp.sin(angle * 5.0))
    iris = look.iris * fibres * (1.0 - ramp(0.2, 0.35, radius)) + look.iris_rim * ramp(0.2, 0.35, radius)
    pupil = ramp(look.pupil - 0.02, look.pupil + 0.02, radius)
    inner = iris * pupil + wp.vec3(0.01, 0.01, 0.012) * (1.0 - pupil)
    outside = look.sclera * (1.0 - 0.35 * ramp(0.55, 1.0, radius))
    outside = wp.cw_mul(outside, wp.vec3(1.0, 1.0 - 0.12 * ramp(0.5, 0.9, radius), 1.0 - 0.12 * ramp(0.5, 0.9, radius)))
    outside = outside * (1.0 - 0.3 * ramp(0.0, 0.35, p[2]))
    white = ramp(0.35, 0.4, radius)
    return inner * (1.0 - white) + outside * white


@wp.func
def wrapped(cosine: float, amount: wp.vec3) -> wp.vec3:
    """Diffuse light that reaches a little past the edge of the shadow, more so in red, as in skin."""
    return wp.vec3(
        wp.max((cosine + amount[0]) / (1.0 + amount[0]), 0.0),
        wp.max((cosine + amount[1]) / (1.0 + amount[1]), 0.0),
        wp.max((cosine + amount[2]) / (1.0 + amount[2]), 0.0),
    )


@wp.func
def shade(
    view: View,
    look: Look,
    surface: Surface,
    normal: wp.array2d(dtype=wp.vec3),
    openness: wp.array(dtype=wp.float32),
    hair: wp.array2d(dtype=wp.float32),
    texture: wp.array4d(dtype=wp.float32),
    image: int,
    face: int,
    weights: wp.vec3,
    ray: wp.vec3,
    distance: float,
    turn: wp.vec2,
) -> wp.vec3:
    """Colour of what a ray hit, linear light."""
    corners = wp.vec3i(surface.index[3 * face], surface.index[3 * face + 1], surface.index[3 * face + 2])
    material = surface.material[face]
    n = wp.normalize(
        normal[image, corners[0]] * weights[0]
        + normal[image, corners[1]] * weights[1]
        + normal[image, corners[2]] * weights[2]
    )
    open = openness[corners[0]] * weights[0] + openness[corners[1]] * weights[1] + openness[corners[2]] * weights[2]
    place = (
        surface.front[corners[0]] * weights[0]
        + surface.front[corners[1]] * weights[1]
        + surface.front[corners[2]] * weights[2]
    )
    paint = between(surface.paint, corners, weights)
    skin = sample(texture, view.person, place[0], place[1])
    albedo = skin
    wrap = wp.vec3(0.2, 0.1, 0.06)
    power, gloss = float(18.0), float(look.gloss)
    if material == EYE:
        albedo = eyeball(between(surface.ball, corners, weights), look)
        wrap = wp.vec3(0.2, 0.2, 0.2)
        power, gloss = float(400.0), float(0.8)
    elif material == MOUTH:
        albedo = wp.vec3(0.25, 0.05, 0.045) * (1.0 - paint[0]) + look.lips * paint[0]
    elif material == TONGUE:
        albedo = wp.vec3(0.45, 0.14, 0.13)
    else:
        lips = ramp(0.25, 0.95, paint[0])
        albedo = skin * (1.0 - lips) + look.lips * lips
        gloss = gloss * (1.0 + lips * 1.5)
        if material != SKIN:
            albedo = look.lid
        lash = paint[1] * look.lash
        albedo = albedo * (1.0 - lash) + look.hair * (0.3 * lash)
        covered = hair[view.person, corners[0]] * weights[0] + hair[view.person, corners[1]] * weights[1]
        covered += hair[view.person, corners[2]] * weights[2]
        strands = (
            0.5 * wp.sin(place[0] * 190.0 + 3.0 * wp.sin(place[1] * 40.0)) * wp.sin(place[0] * 77.0 + place[1] * 61.0)
        )
        covered = ramp(-0.006, 0.006, covered + 0.003 * strands)
        albedo = albedo * (1.0 - covered) + look.hair * ((0.8 + 0.35 * strands) * covered)
        gloss = gloss * (1.0 - 0.5 * covered)
    point = view.origin + ray * distance + n * 0.0012
    soft = wp.normalize(view.key + (view.right * turn[0] + view.up * turn[1]) * (0.5 * view.softness))
    lit = float(1.0)
    if material == MOUTH or material == TONGUE:
        lit = 0.4 * open
    elif wp.dot(n, soft) > -0.2:
        if wp.mesh_query_ray_anyhit(view.mesh, point, soft, 0.5):
            lit = 0.1
    key = wrapped(wp.dot(n, view.key), wrap) * lit
    fill = wrapped(wp.dot(n, view.fill), wrap)
    dome = 0.5 + 0.5 * wp.dot(n, view.up)
    light = (
        wp.cw_mul(view.key_colour, key)
        + (wp.cw_mul(view.fill_colour, fill) + view.sky * dome + view.ground * (1.0 - dome)) * open
    )
    shine = wp.pow(wp.max(wp.dot(n, wp.normalize(view.key - ray)), 0.0), power) * gloss * lit
    edge = wp.pow(1.0 - wp.max(-wp.dot(n, ray), 0.0), 4.0) * 0.12 * open
    return wp.cw_mul(albedo, light) + view.key_colour * shine + view.sky * edge


@wp.kernel
def cast(
    views: wp.array(dtype=View),
    looks: wp.array(dtype=Look),
    surface: Surface,
    normal: wp.array2d(dtype=wp.vec3),
    openness: wp.array(dtype=wp.float32),
    hair: wp.array2d(dtype=wp.float32),
    texture: wp.array4d(dtype=wp.float32),
    backdrop: wp.array4d(dtype=wp.float32),
    size: int,
    rays: int,
    out: wp.array3d(dtype=wp.vec3),
) -> None:
    """Draws pixel (i, j) of image `image`, as the mean of rays x rays samples."""
    image, i, j = wp.tid()
    view = views[image]
    look = looks[view.person]
    total = wp.vec3(0.0, 0.0, 0.0)
    for a in range(rays):
        for b in range(rays):
            u = (float(j) + (float(b) + 0.5) / float(rays)) / float(size)
            v = (float(i) + (float(a) + 0.5) / float(rays)) / float(size)
            ray = wp.normalize(view.corner + view.across * u + view.down * v)
            hit = wp.mesh_query_ray(view.mesh, view.origin, ray, 10.0)
            start = float(0.0)
            if hit.result and surface.material[hit.face] == MOUTH and wp.dot(hit.normal, ray) > 0.0:
                # The wall of the mouth, seen from behind where it comes through the skin: look past it.
                start = hit.t + 0.001
                hit = wp.mesh_query_ray(view.mesh, view.origin + ray * start, ray, 10.0)
            if hit.result:
                weights = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)
                turn = wp.vec2(
                    (float(b) + 0.5) / float(rays) * 2.0 - 1.0, (float((a + b) % rays) + 0.5) / float(rays) * 2.0 - 1.0
                )
                total += shade(
                    view,
                    look,
                    surface,
                    normal,
                    openness,
                    hair,
                    texture,
                    image,
                    hit.face,
                    weights,
                    ray,
                    start + hit.t,
                    turn,
                )
            else:
                total += sample(backdrop, image, u, v)
    out[image, i, j] = total / float(rays * rays)


@wp.kernel
def openness(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    rays: int,
    out: wp.array(dtype=float),
) -> None:
    """Share of the directions above the surface, cosine-weighted, in which nothing is within 4 cm of a vertex."""
    v = wp.tid()
    n = normal[v]
    axis = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(n[2]) > 0.9:
        axis = wp.vec3(1.0, 0.0, 0.0)
    t = wp.normalize(wp.cross(n, axis))
    s = wp.cross(n, t)
    free = float(0.0)
    for k in range(rays):
        radius = wp.sqrt((float(k) + 0.5) / float(rays))
        angle = float(k) * 2.39996
        height = wp.sqrt(wp.max(1.0 - radius * radius, 0.0))
        ray = t * (radius * wp.cos(angle)) + s * (radius * wp.sin(angle)) + n * height
        if not wp.mesh_query_ray_anyhit(mesh, points[v] + n * 0.0005, ray, 0.04):
            free += 1.0
    out[v] = free / float(rays)
