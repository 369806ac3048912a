"""Faces in pictures: found (`finders`), followed (`tracking`) and cut out by a documented recipe (`alignment`).

Preparation and inference use the same functions with the same `Recipe`, which a dataset's card carries.
"""

from metafacs.faces.alignment import align, move, to_jpeg
from metafacs.faces.face import Box, Face, Picture
from metafacs.faces.finders import FINDERS, FaceFinder, best_finder, given_face, make_finder
from metafacs.faces.recipe import Recipe
from metafacs.faces.tracking import Tracker

__all__ = [
    "FINDERS",
    "Box",
    "Face",
    "FaceFinder",
    "Picture",
    "Recipe",
    "Tracker",
    "align",
    "best_finder",
    "given_face",
    "make_finder",
    "move",
    "to_jpeg",
]
