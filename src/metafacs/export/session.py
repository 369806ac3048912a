"""Runs exported files with onnxruntime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metafacs.export.graph import INPUT, LOGITS, PROBABILITIES, import_onnx
from metafacs.faces.face import Picture


class Session:
    """An ONNX detector on the CPU.

    Args:
        model: content of the file.
        threads: that one run may use; 0 for as many as onnxruntime likes.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        import_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.size = len(model)
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def probabilities(self, faces: Sequence[Picture] | Picture, batch: int = 32) -> NDArray[np.float32]:
        """(N, A) of N aligned faces, (S, S, 3) uint8 each."""
        return self._run(PROBABILITIES, faces, batch)

    def logits(self, faces: Sequence[Picture] | Picture, batch: int = 32) -> NDArray[np.float32]:
        """(N, A) of N aligned faces, (S, S, 3) uint8 each."""
        return self._run(LOGITS, faces, batch)

    def _run(self, output: str, faces: Sequence[Picture] | Picture, batch: int) -> NDArray[np.float32]:
        stack = np.asarray(faces)
        parts = [self._session.run([output], {INPUT: stack[k : k + batch]})[0] for k in range(0, len(stack), batch)]
        return np.concatenate(parts)
