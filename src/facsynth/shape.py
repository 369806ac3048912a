"""The resting face of a person: the sum of the head model's blendshapes, without posing a skeleton that rests."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metafacs.errors import InputError

_RACES = ("african", "asian", "caucasian")
# anny's variations in the columns of its blendshape mask, by the phenotype value that blends between them.
_VARIATIONS = (
    ("gender", 2),
    ("age", 5),
    ("muscle", 3),
    ("weight", 3),
    ("height", 2),
    ("proportions", 2),
    ("cupsize", 3),
    ("firmness", 3),
)


@dataclass(frozen=True, eq=False)
class Basis:
    """The blendshapes of a model, laid out for one person at a time.

    Attributes:
        labels: the phenotype values that the model takes.
        average: (3V,) the vertices with all coefficients zero.
        factors: (P, 26) bool, the variations each phenotype blendshape is a product of.
        mix: (P, B) the model's compact basis of the phenotype blendshapes.
        phenotypes: (B, 3V) that basis.
        local: for each local change, where and by how much (k,) it moves coordinates when it is above and below 0.
    """

    labels: tuple[str, ...]
    average: NDArray[np.float32]
    factors: NDArray[np.bool_]
    mix: NDArray[np.float32]
    phenotypes: NDArray[np.float32]
    local: dict[str, tuple[tuple[NDArray[np.int64], NDArray[np.float32]], ...]]


def rest_vertices(model: Any, phenotype: Mapping[str, float], local: Mapping[str, float]) -> NDArray[np.float32]:
    """(V, 3) the vertices that the model gives a person in its resting pose, metres.

    The same as the model's own forward pass to rounding, in a fraction of the time: in the resting pose its skeleton
    only moves the whole head so that the first bone lies at the origin.

    Args:
        model: the anny head model.
        phenotype: its phenotype values, each in [0, 1]; those left out are 0.5.
        local: its local changes, each about in [-1, 1]; those left out are 0.

    Raises:
        InputError: the model knows no phenotype value or local change of that name.
    """
    basis = _basis(model)
    unknown = (set(phenotype) - set(basis.labels)) | (set(local) - set(basis.local))
    if unknown:
        raise InputError(
            f"the head model has no {', '.join(sorted(unknown))}; it has {', '.join(basis.labels)} "
            f"and {len(basis.local)} local changes, listed in its local_change_labels"
        )
    shares = phenotype_shares({name: phenotype.get(name, 0.5) for name in basis.labels})
    parts = np.where(basis.factors, shares, 1).prod(axis=1, dtype=np.float32)
    # No matrix products: those round differently with another number of threads.
    weights = np.einsum("p,pb->b", parts, basis.mix)
    out = basis.average + np.einsum("b,bv->v", weights, basis.phenotypes)
    for name, value in local.items():
        places, offsets = basis.local[name][int(value < 0)]
        out[places] += np.float32(abs(value)) * offsets
    return out.reshape(-1, 3)


def phenotype_shares(values: Mapping[str, float]) -> NDArray[np.float32]:
    """(26,) how much each variation counts, in the order of anny's mask.

    Args:
        values: by phenotype name; those left out are 0.5.
    """
    races = np.array([values.get(name, 0.5) for name in _RACES])
    shares = list(races / races.sum() if races.sum() > 0 else np.full(3, 1 / 3))
    for name, count in _VARIATIONS:
        first = -1 / 3 if name == "age" else 0.0
        at = np.clip((values.get(name, 0.5) - first) / (1 - first), 0, 1) * (count - 1)
        shares += list(np.maximum(0, 1 - np.abs(np.arange(count) - at)))
    return np.array(shares, np.float32)


@functools.lru_cache(maxsize=2)
def _basis(model: Any) -> Basis:
    shapes, bones = model.blendshapes.numpy(), model.bone_heads_blendshapes.numpy()[:, :1]
    shapes = (shapes - bones).astype(np.float32)
    average = (model.template_vertices - model.template_bone_heads[:1]).numpy().astype(np.float32)
    projection = model.phenotype_blendshape_projection
    factors = model.stacked_phenotype_blend_shapes_mask.numpy() > 0
    mix = np.eye(len(factors), dtype=np.float32) if projection is None else projection.numpy().astype(np.float32)
    count, first = mix.shape[1], mix.shape[1] + len(model.facial_action_labels)
    changes = {}
    for number, name in enumerate(model.local_change_labels):
        rows = shapes[first + 2 * number : first + 2 * number + 2].reshape(2, -1)
        changes[name] = tuple((places := np.flatnonzero(row), row[places]) for row in rows)
    flat = np.ascontiguousarray(shapes[:count].reshape(count, -1))
    return Basis(tuple(model.phenotype_labels), average.reshape(-1), factors, mix, flat, changes)
