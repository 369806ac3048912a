"""How a face is cut out of a picture: everything that a later program needs to do exactly the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from metafacs.errors import InputError
from metafacs.faces.finders import LIDS, PUPILS

EYES = ((0.32, 0.36), (0.68, 0.36))
"""Where the centres of the person's right and left eye lie in a crop without margin, as shares of its side; rendered
crops have them there too."""
SMALLEST, LARGEST = 32, 2048
"""Sides a crop may have, in pixels."""
SIMILARITY, WHOLE = "similarity", "whole"

_POINTS = {
    LIDS: "centres of the eyes (mean of landmarks 37-42 and of 43-48, counted from 1)",
    PUPILS: "centres of the eyes (pupils of a person who looks ahead)",
}
_NO_POINTS = "none: the whole picture, scaled to fit, with bars where it is not square"
_UNITS = {
    "template_unit": "share of the crop's width and height; the right eye is the person's",
    "pixels": "pixel (column x, row y) covers [x, x+1) by [y, y+1); its centre is (x+0.5, y+0.5)",
    "resampling": "shrinking: antialiased bicubic, then the similarity, bicubic",
    "outside": "black",
}


@dataclass(frozen=True)
class Recipe:
    """The way from a picture to a crop.

    Attributes:
        kind: "similarity" (turned, scaled and moved so that the eyes lie on the template) or "whole" (the picture as
            it is, for releases that are aligned already).
        size: side of the crop in pixels.
        margin: what is added on each side of the template, as a share of the crop without it; negative cuts closer.
        quality: of the JPEG file, 1-95.
        finder: what finds faces: "name" and its settings, as `finders.make_finder` takes them.
        choice: which of several faces is taken, "nearest" (that of the person of the frame before) or "largest".
        every: whole frames of a sequence are searched every so often, the others around the face of the frame before.
        eyes: what lies on the template: "lids" (the middle of a rendered eye's landmarks) or "pupils" (those of a
            person who looks ahead); crops that do not say so have "lids".
    """

    kind: str = SIMILARITY
    size: int = 256
    margin: float = 0.0
    quality: int = 92
    finder: dict[str, Any] = field(default_factory=lambda: {"name": "auto"})
    choice: str = "nearest"
    every: int = 1
    eyes: str = LIDS

    def __post_init__(self) -> None:
        if self.kind not in (SIMILARITY, WHOLE):
            raise InputError(f"crops of kind '{self.kind}' are not known; known: {SIMILARITY}, {WHOLE}")
        if self.eyes not in _POINTS:
            raise InputError(f"crops aligned by '{self.eyes}' are not known; known: {', '.join(_POINTS)}")
        if not SMALLEST <= self.size <= LARGEST:
            raise InputError(f"crops of {self.size} pixels; ask for a size from {SMALLEST} to {LARGEST}")
        if not -0.25 <= self.margin <= 2:
            raise InputError(f"a margin of {self.margin} is too much; it is a share of the crop, give -0.25 to 2")
        if not 1 <= self.quality <= 95:
            raise InputError(f"JPEG quality {self.quality}; give 1 to 95")
        if self.choice not in ("nearest", "largest"):
            raise InputError(f"of several faces the '{self.choice}' cannot be taken; give 'nearest' or 'largest'")
        if self.every < 1:
            raise InputError(f"every is {self.every}; give 1 (search every whole frame) or more")

    @property
    def template(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where the right and the left eye lie in the crop, as shares of its side.

        Example:
            >>> Recipe(margin=0.5).template
            ((0.41, 0.43), (0.59, 0.43))
        """
        right, left = (tuple(round((at + self.margin) / (1 + 2 * self.margin), 9) for at in eye) for eye in EYES)
        return (right[0], right[1]), (left[0], left[1])

    def to_card(self) -> dict[str, Any]:
        """The recipe as the `crop` entry of a dataset's card."""
        entry = {**asdict(self), "points": _POINTS[self.eyes] if self.kind == SIMILARITY else _NO_POINTS, **_UNITS}
        if self.kind == SIMILARITY:
            right, left = self.template
            entry["template"] = {"right_eye": list(right), "left_eye": list(left)}
        return entry

    @classmethod
    def from_card(cls, crop: Mapping[str, Any]) -> "Recipe":
        """The recipe in the `crop` entry of a dataset's card.

        Rendered datasets name no finder, as their eyes are known: in photographs they are sought by the best there is.

        Raises:
            InputError: the entry has no recipe that this version can follow.
        """
        known = {name: crop[name] for name in cls.__dataclass_fields__ if name in crop}
        try:
            recipe = cls(**known)
        except TypeError as error:
            raise InputError(f"the crop recipe cannot be read ({error}); prepare the dataset again") from error
        right, left = recipe.template
        written = crop.get("template", {"right_eye": list(right), "left_eye": list(left)})
        if "kind" not in crop or written != {"right_eye": list(right), "left_eye": list(left)}:
            raise InputError(
                f"the crop recipe {dict(crop)} is not one that this version can follow; prepare the dataset again"
            )
        return recipe
