"""Pictures of rendered faces for people to look at: what every AU looks like, and a sample of the data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facsynth.activity import draw_course, draw_temper, sides, strength
from facsynth.annotators import prototype
from facsynth.head import load_head
from facsynth.identity import Demographics, Person, draw_person
from facsynth.photo import Shot, take
from facsynth.rig import RIG_AUS
from facsynth.scene import BACKDROP, Framing, Habits, Light, Scene, draw_habits, draw_scene, unit
from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, EXPRESSIONS
from metafacs.files import atomic_file

LEVELS = "ABCDE"
"""The FACS intensities, 1 to 5, as coders write them."""

_SITTERS = ((0.1, 24, 0.1), (0.9, 46, 0.35), (0.15, 62, 0.25), (0.85, 31, 0.75), (0.2, 38, 0.9), (0.9, 70, 0.15))
_WHOLE = Framing((0.5, 0.42), 0.3, 0.0)  # the face down to an open mouth's chin
_LAMPS = (((0.55, 0.6, 0.75), 1.15), ((-0.9, 0.1, 1.0), 0.35))  # direction, strength


def au_sheet(
    path: Path,
    aus: Sequence[int] = RIG_AUS,
    *,
    people: int = 6,
    blocks: int = 2,
    size: int = 160,
    rays: int = 3,
    seed: int = 0,
) -> None:
    """Draws every AU at rest and at each FACS intensity: a row an AU, with its number and name.

    Each intensity is drawn as strong as the middle of its level. All faces are lit alike, a little from the side, so
    that wrinkles show.

    Args:
        path: the picture to write; its ending says in which format.
        aus: the AUs to show.
        people: how many people; they take turns, a row each.
        blocks: into how many blocks side by side the rows are split.
        size: side of one face in pixels.
        rays: rays x rays samples a pixel.
        seed: which people.

    Raises:
        InputError: an AU cannot be rendered, none is asked for, or there are no people or no blocks to show them in.
    """
    unknown = [str(au) for au in aus if au not in RIG_AUS]
    if unknown or not aus or people < 1 or blocks < 1:
        problem = (
            f"cannot render AU {', '.join(unknown)}" if unknown else f"{len(aus)} AUs, {people} people, {blocks} blocks"
        )
        raise InputError(
            f"{problem}; ask for at least one person, one block and one AU of {', '.join(map(str, RIG_AUS))}"
        )
    sitters = [_sitter(seed, number) for number in range(min(people, len(aus)))]
    rows = [_au_row(au, sitters[number % len(sitters)], size, rays) for number, au in enumerate(aus)]
    height = -(-len(rows) // blocks)
    columns = [rows[start : start + height] for start in range(0, len(rows), height)]
    heading = _labels(["", "at rest", *LEVELS], size)
    blank = np.full_like(rows[0], 255)
    parts = [np.concatenate([heading, *block, *[blank] * (height - len(block))]) for block in columns]
    _save(path, np.concatenate(parts, axis=1))


def _sitter(seed: int, number: int) -> tuple[Person, Habits]:
    """A person of the AU sheet, and an even grey room."""
    rng = np.random.default_rng([seed, 3, number])
    person = draw_person(load_head(), rng, Demographics(*_SITTERS[number % len(_SITTERS)]))
    lights = tuple(Light(unit(direction), np.full(3, strength), 0.2) for direction, strength in _LAMPS)
    return person, Habits(
        yaw=0.0,
        pitch=0.0,
        lights=lights,
        sky=np.full(3, 0.22),
        ground=np.full(3, 0.14),
        backdrop=np.full((BACKDROP, BACKDROP, 3), 0.3, np.float32),
        exposure=1.0,
    )


def _au_row(au: int, sitter: tuple[Person, Habits], size: int, rays: int) -> NDArray[np.uint8]:
    """(size, 7 size, 3) the label of an AU, the resting face, and the AU at each intensity."""
    person, room = sitter
    acting = np.zeros((1 + len(LEVELS), 2, len(RIG_AUS)))
    acting[1:, :, RIG_AUS.index(au)] = strength(np.arange(1.5, 6.0))[:, None]
    shots = [Shot(person, strengths, (0.0, 0.0), Scene(0.0, 0.0, _WHOLE, room)) for strengths in acting]
    images = take(load_head(), shots, size, rays)[0]
    return np.concatenate([_name(au, size), _row(images)], axis=1)


def _name(au: int, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) the number and the FACS name of an AU."""
    card = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(card)
    pen.text((size * 0.06, size * 0.3), f"AU{au}", fill="black", font=ImageFont.load_default(size * 0.2), anchor="lm")
    font = ImageFont.load_default(size * 0.11)
    lines = [""]
    for word in ACTION_UNITS[au].name.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font) > size * 0.9:
            lines.append(word)
        else:
            lines[-1] = longer
    pen.multiline_text((size * 0.06, size * 0.45), "\n".join(lines), fill="black", font=font)
    return np.asarray(card)


def faces_picture(path: Path, *, columns: int = 8, size: int = 160, rays: int = 4, seed: int = 0) -> None:
    """Draws a sample of the data: two rows of AU frames (one person each), and two of expressions, one person each.

    Args:
        path: the picture to write.
        columns: faces in a row.
        size: side of one face in pixels.
        rays: rays x rays samples a pixel.
        seed: which people.
    """
    rows = [_au_shots(columns, np.random.default_rng([seed, 4, row])) for row in range(2)]
    rows += [_fe_shots(columns, np.random.default_rng([seed, 5, row])) for row in range(2)]
    _save(path, np.concatenate([_row(take(load_head(), shots, size, rays)[0]) for shots in rows]))


def _au_shots(count: int, rng: np.random.Generator) -> list[Shot]:
    person, habits = draw_person(load_head(), rng), draw_habits(rng)
    course = draw_course(rng, draw_temper(rng), 4 * count)[::4]
    acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
    return [Shot(person, acting[k], (0.0, 0.0), draw_scene(habits, rng)) for k in range(count)]


def _fe_shots(count: int, rng: np.random.Generator) -> list[Shot]:
    shots = []
    for k in range(count):
        person = draw_person(load_head(), rng)
        strengths = prototype(EXPRESSIONS[1 + k % (len(EXPRESSIONS) - 1)], rng.uniform(0.7, 1.0), rng)
        acting = sides(strengths[None], person.asymmetry, rng.normal(0, 0.05, (1, len(RIG_AUS))))
        scene = draw_scene(draw_habits(rng, wild=True), rng, wild=True, skin=person.colours["skin"])
        shots.append(Shot(person, acting[0], (0.0, 0.0), scene, k))
    return shots


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(list(images), axis=1)


def _labels(texts: Sequence[str], size: int) -> NDArray[np.uint8]:
    band = Image.new("RGB", (size * len(texts), _band(size)), "white")
    pen = ImageDraw.Draw(band)
    for column, text in enumerate(texts):
        place = (size * (column + 0.5), _band(size) / 2)
        pen.text(place, text, fill="black", font=ImageFont.load_default(size * 0.11), anchor="mm")
    return np.asarray(band)


def _band(size: int) -> int:
    """Height of a line of labels over faces of a size, pixels."""
    return round(0.18 * size)


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    with atomic_file(path) as partial:
        Image.fromarray(image).save(partial)
