"""From a network to an ONNX graph that takes aligned faces as they are, whatever their number."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.export import NEWEST, OLDEST
from metafacs.export.resizing import Resize
from metafacs.models.network import Network
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard

INPUT, PROBABILITIES, LOGITS = "faces", "probabilities", "logits"
BATCH = "batch"
_LARGEST = 2**31 - 1
"""Bytes that one ONNX file can hold."""


class FacesToAUs(nn.Module):
    """All that lies between an aligned face and its AUs: resizing, the middle, normalisation, network, sigmoid.

    Args:
        network: a trained network.
        card: what was saved with it.
        size: side of the aligned faces, pixels.
    """

    def __init__(self, network: Network, card: DetectorCard, size: int) -> None:
        super().__init__()
        self.resize = Resize(size, card.resize, card.side)
        self.network = network

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and logits, both (N, A), of (N, size, size, 3) uint8 faces."""
        images = self.resize(faces).permute(0, 3, 1, 2).float() / 255
        logits = self.network.logits(Sample(images))
        return torch.sigmoid(logits), logits


def to_graph(network: Network, card: DetectorCard, size: int, opset: int = OLDEST) -> Any:
    """The detector as an `onnx.ModelProto` with input `faces` and outputs `probabilities` and `logits`.

    Args:
        network: a trained network, on the CPU.
        card: what was saved with it.
        size: side of the aligned faces, pixels.
        opset: version of ONNX's operators.

    Raises:
        InputError: ONNX's packages are missing, or this network cannot be written as such a graph.
    """
    if not OLDEST <= opset <= NEWEST:
        raise InputError(f"opset is {opset}; give {OLDEST} to {NEWEST}")
    onnx = import_onnx()
    model = _traced(FacesToAUs(network, card, size).eval(), card, size, opset)
    if model.ByteSize() > _LARGEST:
        raise InputError(f"the network of '{card.backbone}' takes {model.ByteSize():,} bytes; an ONNX file holds 2 GiB")
    operators = {entry.domain: entry.version for entry in model.opset_import}
    if operators != {"": opset}:
        raise InputError(
            f"'{card.backbone}' needs the ONNX operators {operators}, not {opset} alone; try another --opset"
        )
    shape = model.graph.input[0].type.tensor_type.shape
    if shape.dim[0].dim_param != BATCH:
        raise InputError(
            f"{_named(network, card)} cannot be exported: its graph holds for one number of faces only; "
            "export a detector of another method (`metafacs train --method`), or use this one with `metafacs detect`"
        )
    onnx.checker.check_model(model, full_check=True)
    return model


def import_onnx() -> Any:
    """The package `onnx`.

    Raises:
        InputError: it, or one of those that go with it, is not installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 - what is exported is tried at once
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ModuleNotFoundError as error:
        raise InputError(
            f"exporting needs the package '{error.name}', which is not installed; run: pip install 'metafacs[onnx]'"
        ) from error
    return onnx


def _traced(module: FacesToAUs, card: DetectorCard, size: int, opset: int) -> Any:
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[PROBABILITIES, LOGITS],
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{_named(module.network, card)} cannot be exported: {reason}") from error
    assert program is not None
    return program.model_proto


def _named(network: Network, card: DetectorCard) -> str:
    form = "" if network.form == Network.form else f", form '{network.form}'"
    return f"the detector of method '{card.method}' (backbone '{card.backbone}'{form})"
