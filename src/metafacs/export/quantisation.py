"""Makes the network of an exported graph compute in whole numbers of eight bits."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metafacs.errors import InputError
from metafacs.export.graph import INPUT, import_onnx
from metafacs.faces.face import Picture

BATCH = 16
"""Faces that are calibrated with at a time."""
_WEIGHTED = ("Conv", "Gemm", "MatMul")


def quantised(model: Any, faces: Picture) -> Any:
    """The same detector in int8: static quantisation, weights per channel, activations by the ranges seen on `faces`.

    Resizing and normalisation stay as they are. Weights take seven bits, because on processors without VNNI two
    products of eight bits can overflow and the file would give other numbers there.

    Args:
        model: an `onnx.ModelProto` of `to_graph`.
        faces: (N, S, S, 3) aligned faces like those it will be used on.

    Returns:
        An `onnx.ModelProto` with standard operators only.

    Raises:
        InputError: this network cannot be quantised.
    """
    onnx = import_onnx()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as temporary, _quietly():
        given, prepared, made = (Path(temporary) / f"{name}.onnx" for name in ("given", "prepared", "made"))
        given.write_bytes(model.SerializeToString())
        try:
            quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(made),
                _Reader(faces),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=_before_network(onnx.load(prepared)),
            )
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"this network cannot be quantised ({reason}); export it without --quantize") from error
        found = onnx.load(made)
    _keep_used_operators(found)
    if not any(node.op_type == "QuantizeLinear" for node in found.graph.node):
        raise InputError("nothing in this network can be quantised; export it without --quantize")
    return found


class _Reader:
    """The calibration faces as onnxruntime asks for them."""

    def __init__(self, faces: Picture) -> None:
        self._batches: Iterator[Picture] = iter(faces[k : k + BATCH] for k in range(0, len(faces), BATCH))

    def get_next(self) -> dict[str, Picture] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}

    def __iter__(self) -> Iterator[dict[str, Picture]]:
        return iter(self.get_next, None)


def _before_network(model: Any) -> list[str]:
    """Names of the nodes of the pre-processing: nodes are in order, and the network begins with its first weights."""
    nodes = list(model.graph.node)
    first = next(k for k, node in enumerate(nodes) if node.op_type in _WEIGHTED)
    return [node.name for node in nodes[:first]]


def _keep_used_operators(model: Any) -> None:
    """Drops the operator sets that onnxruntime names but nothing uses, so that every ONNX runtime takes the file."""
    used = {"" if node.domain == "ai.onnx" else node.domain for node in model.graph.node}
    kept = [(entry.domain, entry.version) for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    for domain, version in kept:
        model.opset_import.add(domain=domain, version=version)


class _quietly:  # noqa: N801 - reads as a statement
    """onnxruntime logs what has no meaning for a user, through the root logger."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._warnings = warnings.catch_warnings(action="ignore")
        self._warnings.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._warnings.__exit__(*error)
        logging.disable(self._before)
