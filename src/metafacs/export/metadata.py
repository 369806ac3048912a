"""What an exported file says of itself, in the metadata of ONNX: JSON texts under fixed names."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from metafacs import __version__
from metafacs.faces import Recipe
from metafacs.facs import ACTION_UNITS, au_code
from metafacs.training.checkpoint import DetectorCard

FORMAT = 1


def properties(card: DetectorCard, recipe: Recipe, numbers: str, quantisation: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file.

    Args:
        card: of the detector.
        recipe: how faces are aligned and cut out.
        numbers: "float32" or "int8".
        quantisation: how it was made, where it is int8.

    Returns:
        `metafacs` (format of these entries and version of the tool), `aus` (columns, in the order of the outputs),
        `au_names`, `thresholds`, `recipe` (from a photograph to the input, as in a dataset's card), `card` (data,
        method, fold, people who never trained) and `numbers`; every value is JSON.
    """
    entries: dict[str, Any] = {
        "metafacs": {"format": FORMAT, "version": __version__},
        "aus": card.aus,
        "au_names": [ACTION_UNITS[au_code(au)].name for au in card.aus],
        "thresholds": card.thresholds,
        "recipe": recipe.to_card(),
        "card": asdict(card),
        "numbers": {"kind": numbers, **quantisation},
    }
    return {name: json.dumps(value) for name, value in entries.items()}


def describe(model: Any, entries: Mapping[str, str]) -> None:
    """Writes the metadata into an `onnx.ModelProto`, in place of what stood there."""
    del model.metadata_props[:]
    for name, value in entries.items():
        model.metadata_props.add(key=name, value=value)
    model.producer_name, model.producer_version = "metafacs", __version__
    model.doc_string = (
        "Facial Action Units of aligned faces. Input: (batch, S, S, 3) uint8, RGB, aligned by the entry 'recipe'. "
        "Outputs: (batch, A) probabilities and logits of the entry 'aus'."
    )
