"""What the drawing kernels share: the structs they are given, look-ups and depth keys; importing them needs `warp`.

A depth key is one integer for what is nearest at a sample: its depth in front, and its number behind, so that the
least key is the nearest thing, and among equally near things the one with the lowest number.
"""

# What follows is Python in looks only: warp compiles it. mypy does not know its types. A variable that changes inside a
# loop or a branch has to start as `float(0.0)`, or warp takes it for a constant.
# mypy: ignore-errors
# ruff: noqa: UP018, RUF046

import warp as wp

wp.set_module_options({"enable_backward": False})

SKIN = wp.constant(0)
MOUTH = wp.constant(1)
TONGUE = wp.constant(2)
EYE = wp.constant(3)
SOCKET = wp.constant(4)
TEETH = wp.constant(5)
SOLID = wp.constant(6)  # not of the head
NOTHING = wp.constant(7)

EMPTY = wp.constant(wp.int64(1 << 62))  # the key where nothing is
NUMBERS = wp.constant(wp.int64(1 << 24))  # how many things a key can tell apart
STEPS = wp.constant(float(1 << 24))  # depth steps in a metre


@wp.struct
class Surface:
    """The head's own data, the same for every image.

    `front`, `ball` and `paint` are those of `facsynth.head.Head`; `openness` is the share of its surroundings
    that a vertex sees.
    """

    index: wp.array(dtype=wp.vec3i)
    material: wp.array(dtype=wp.int32)
    front: wp.array(dtype=wp.vec2)
    ball: wp.array(dtype=wp.vec3)
    paint: wp.array(dtype=wp.vec3)
    openness: wp.array(dtype=wp.float32)


@wp.struct
class View:
    """One image: who is seen, from where and in which surroundings. Vectors are in head coordinates."""

    person: wp.int32
    lamps: wp.int32  # number of its first lamp
    lights: wp.int32  # how many it has
    level: wp.int32  # of the skin texture's pyramid
    origin: wp.vec3
    right: wp.vec3
    up: wp.vec3
    forward: wp.vec3
    corner: wp.vec3  # ray through the upper left corner, at depth 1
    across: wp.vec3  # change of the ray over one sample to the right
    down: wp.vec3  # and over one sample downwards
    start: wp.vec2  # where the upper left corner lies on the image plane
    turn: wp.vec2  # what a place on the image plane is multiplied by, as a complex number, to be in samples
    sky: wp.vec3
    ground: wp.vec3
    backdrop: wp.vec3i  # first pixel, height, width
    gain: wp.float32


@wp.struct
class Lamp:
    """One light of one image. Vectors are in head coordinates."""

    image: wp.int32
    direction: wp.vec3
    across: wp.vec3  # the axes of its shadow map: to the right as seen from the lamp,
    down: wp.vec3  # and downwards
    colour: wp.vec3
    softness: wp.float32


@wp.struct
class Capsule:
    """One part of a solid thing."""

    image: wp.int32
    start: wp.vec3
    end: wp.vec3
    radius: wp.float32
    colour: wp.vec3
    gloss: wp.float32


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


@wp.struct
class Batch:
    """n images to be drawn, of p persons, with l lamps in all.

    Attributes:
        vertices: (n, V) in head coordinates.
        normals: (n, V) unit.
        places: (n, V) right and down in samples, and 1 / depth.
        keys: (n, samples down, samples across) depth keys.
        shadows: (l, side, side) depth keys of the shadow maps.
        fits: (l,) how a shadow map covers the face: shift right and down, then texels per metre.
        hair: (p, V) metres inside the hair.
        texture: (p, pyramid) colour of the skin.
        relief: (n, pyramid) relief of the skin.
        backdrop: (1, pixels) colours behind the heads, one image after the other.
    """

    views: wp.array(dtype=View)
    looks: wp.array(dtype=Look)
    lamps: wp.array(dtype=Lamp)
    capsules: wp.array(dtype=Capsule)
    vertices: wp.array2d(dtype=wp.vec3)
    normals: wp.array2d(dtype=wp.vec3)
    places: wp.array2d(dtype=wp.vec3)
    keys: wp.array3d(dtype=wp.int64)
    shadows: wp.array3d(dtype=wp.int64)
    fits: wp.array(dtype=wp.vec3)
    hair: wp.array2d(dtype=wp.float32)
    texture: wp.array2d(dtype=wp.vec3)
    relief: wp.array2d(dtype=wp.vec3)
    backdrop: wp.array2d(dtype=wp.vec3)
    side: wp.int32  # of the largest level of the texture's pyramid


@wp.func
def key_of(depth: float, number: int) -> wp.int64:
    """The key of thing `number` at a depth in metres, above 0."""
    return wp.int64(depth * STEPS) * NUMBERS + wp.int64(number)


@wp.func
def depth_of(key: wp.int64) -> float:
    """The depth in a key, metres."""
    return float(key / NUMBERS) / STEPS


@wp.func
def number_of(key: wp.int64) -> int:
    """The number of the thing in a key."""
    return int(key % NUMBERS)


@wp.func
def lamp_place(lamp: Lamp, fit: wp.vec3, point: wp.vec3) -> wp.vec3:
    """Where a point lies in a lamp's shadow map: right and down in texels, and metres away from the lamp, above 0."""
    return wp.vec3(
        (wp.dot(point, lamp.across) - fit[0]) * fit[2],
        (wp.dot(point, lamp.down) - fit[1]) * fit[2],
        4.0 - wp.dot(point, lamp.direction),
    )


@wp.func
def level_start(side: int, level: int) -> int:
    """Where a level of a pyramid begins, whose level 0 is a square of `side` pixels."""
    start = int(0)
    for k in range(level):
        start += (side >> k) * (side >> k)
    return start


@wp.func
def bilinear(
    pixels: wp.array2d(dtype=wp.vec3), row: int, start: int, height: int, width: int, u: float, v: float
) -> wp.vec3:
    """Looks an image up that lies flat in a row of `pixels`; u to the right and v down, both in [0, 1]."""
    x = wp.clamp(u * float(width) - 0.5, 0.0, float(width - 1))
    y = wp.clamp(v * float(height) - 0.5, 0.0, float(height - 1))
    i, j = wp.min(int(y), wp.max(height - 2, 0)), wp.min(int(x), wp.max(width - 2, 0))
    a, b = y - float(i), x - float(j)
    i1, j1 = wp.min(i + 1, height - 1), wp.min(j + 1, width - 1)
    top, low = start + i * width, start + i1 * width
    upper = pixels[row, top + j] * (1.0 - b) + pixels[row, top + j1] * b
    lower = pixels[row, low + j] * (1.0 - b) + pixels[row, low + j1] * b
    return upper * (1.0 - a) + lower * a


@wp.func
def ramp(low: float, high: float, x: float) -> float:
    """0 below `low`, 1 above `high`, smooth between."""
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.kernel
def openness(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    rays: int,
    out: wp.array(dtype=float),
) -> None:
    """Share of the directions above the surface, cosine-weighted, in which nothing is within 4 cm of a vertex."""
    v = wp.tid()
    n = normals[0, v]
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


@wp.kernel
def press(
    pattern: wp.array2d(dtype=wp.vec3),
    amounts: wp.array2d(dtype=float),
    number: int,
    top: int,
    left: int,
    side: int,
    out: wp.array2d(dtype=wp.vec3),
) -> None:
    """Adds one wrinkle pattern, as deep as its amount says, to the relief of each image."""
    image, i, j = wp.tid()
    amount = amounts[image, number]
    if amount != 0.0:
        at = (top + i) * side + left + j
        out[image, at] = out[image, at] + pattern[i, j] * amount


@wp.kernel
def halve(side: int, source: int, target: int, pyramid: wp.array2d(dtype=wp.vec3)) -> None:
    """Makes one level of a pyramid from the next larger one, whose side is `side`."""
    image, i, j = wp.tid()
    upper = source + 2 * i * side + 2 * j
    lower = upper + side
    pyramid[image, target + i * (side / 2) + j] = 0.25 * (
        pyramid[image, upper] + pyramid[image, upper + 1] + pyramid[image, lower] + pyramid[image, lower + 1]
    )
