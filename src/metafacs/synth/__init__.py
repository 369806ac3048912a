"""Faces that `facsynth` renders, as prepared datasets and as the raw trees of releases."""
