"""Makes the network of an exported graph compute in whole numbers of eight bits."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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

    class Calibration(quantization.CalibrationDataReader):
        batches = iter({INPUT: faces[k : k + BATCH]} for k in range(0, len(faces), BATCH))

        def get_next(self) -> dict[str, Picture] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as temporary, _quietly():
        plain, prepared, small = (Path(temporary) / f"{name}.onnx" for name in ("plain", "prepared", "small"))
        plain.write_bytes(model.SerializeToString())
        try:
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            nodes = list(onnx.load(prepared).graph.node)
            network = next(k for k, node in enumerate(nodes) if node.op_type in _WEIGHTED)  # nodes are in order
            quantization.quantize_static(
                str(prepared),
                str(small),
                Calibration(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=[node.name for node in nodes[:network]],
            )
        except (RuntimeError, ValueError, KeyError, TypeError, StopIteration) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"this network cannot be quantised ({reason}); export it without --quantize") from error
        result = onnx.load(small)
    used = {"" if node.domain == "ai.onnx" else node.domain for node in result.graph.node}
    for entry in [entry for entry in result.opset_import if entry.domain not in used]:
        result.opset_import.remove(entry)  # onnxruntime names it, nothing uses it, and other runtimes would refuse
    if not any(node.op_type == "QuantizeLinear" for node in result.graph.node):
        raise InputError("nothing in this network can be quantised; export it without --quantize")
    return result


@contextmanager
def _quietly() -> Iterator[None]:
    """onnxruntime logs what has no meaning for a user, through the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
