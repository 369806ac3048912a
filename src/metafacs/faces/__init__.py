"""Faces in pictures: found (`finders`), followed (`tracking`) and cut out by a documented recipe (`alignment`).

Preparation and inference use the same functions with the same `Recipe`, which a dataset's card carries.
"""

from metafacs.faces.alignment import align, move, to_jpeg
from metafacs.faces.finders import FINDERS, Face, FaceFinder, given_face, make_finder
from metafacs.faces.recipe import Recipe
from metafacs.faces.tracking import Follower, choose

__all__ = [
    "FINDERS",
    "Face",
    "FaceFinder",
    "Follower",
    "Recipe",
    "align",
    "choose",
    "given_face",
    "make_finder",
    "move",
    "to_jpeg",
]
