"""Exported graphs give what PyTorch gives, for any number of faces, or are refused."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metafacs.errors import InputError
from metafacs.export.graph import FacesToAUs, to_graph
from metafacs.export.parity import TOLERANCE, by_torch, check_parity, random_faces, rendered_faces
from metafacs.export.session import Session
from metafacs.models.network import FORMS
from tests.export.made import SIZE, content, network, plain_content
from tests.toy_runs import SMALL_DRML

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def plain() -> bytes:
    return plain_content()


def test_probabilities_are_pytorchs(plain: bytes) -> None:
    made, card = network()
    faces = np.concatenate([rendered_faces(SIZE), random_faces(SIZE)])
    expected = by_torch(made, card, faces)
    assert expected.std(axis=0).min() > 0.01
    session = Session(plain)
    for batch in (1, 2, 7, 16):
        assert np.abs(session.probabilities(faces, batch) - expected).max() < 1e-5
    assert np.allclose(1 / (1 + np.exp(-session.logits(faces))), expected, atol=1e-5)
    assert check_parity(session, made, card, SIZE) < 1e-5


def test_the_graph_is_checked_and_uses_standard_operators_alone(plain: bytes) -> None:
    model = onnx.load_from_string(plain)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    (given,) = model.graph.input
    shape = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert (given.name, shape) == ("faces", ["batch", SIZE, SIZE, 3])
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [out.name for out in model.graph.output] == ["probabilities", "logits"]


def test_a_graph_that_gives_other_numbers_is_refused(plain: bytes) -> None:
    made, card = network()
    with torch.no_grad():
        made.au_head.bias.add_(40 * TOLERANCE)
    with pytest.raises(InputError, match=r"differs from PyTorch by 0\.00"):
        check_parity(Session(plain), made, card, SIZE)
    with torch.no_grad():
        made.au_head.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="differs from PyTorch by nan"):
        check_parity(Session(plain), made, card, SIZE)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("opset", [18, pytest.param(20, marks=pytest.mark.slow)])
def test_every_form_of_network(form: str, opset: int) -> None:
    made, card = network(form)
    faces = np.concatenate([rendered_faces(SIZE), random_faces(SIZE)])
    expected = by_torch(made, card, faces)
    assert expected.std(axis=0).min() > 0.01
    session = Session(content(made, card, opset))
    for batch in (1, 2, 5, 16):
        assert np.abs(session.probabilities(faces, batch) - expected).max() < TOLERANCE / 2
    assert check_parity(session, made, card, SIZE) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone, options",
    [
        ("test_resnet", {}),
        ("test_vit", {"img_size": 32}),
        ("test_convnext", {}),
        ("metafacs_drml", SMALL_DRML),
        ("metafacs_ofs", {"img_size": 32, "widths": [4, 4, 8], "hidden": 16}),
        ("metafacs_vgg", {"width": 2}),
    ],
)
@pytest.mark.parametrize("opset", [18, 20])
def test_other_backbones(backbone: str, options: dict[str, Any], opset: int) -> None:
    made, card = network("plain", backbone, **options)
    model = to_graph(made, card, SIZE, opset)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert check_parity(Session(model.SerializeToString()), made, card, SIZE) < TOLERANCE


def test_a_graph_for_one_number_of_faces_is_refused() -> None:
    made, card = network()

    class Pairs(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, second = self.inner(x).chunk(2)
            return torch.cat([first, second])

    made.backbone = Pairs(made.backbone)
    with pytest.raises(InputError, match=r"method 'plain'.*cannot be exported"):
        to_graph(made, card, SIZE)


def test_what_cannot_be_traced_is_an_error_that_names_the_network() -> None:
    made, card = network()

    class Chatty(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return made.backbone(x) * (2 if float(x.sum()) > 0 else 1)

    odd, _ = network()
    odd.backbone = Chatty()
    with pytest.raises(InputError, match=r"method 'plain'.*cannot be exported"):
        to_graph(odd, card, SIZE)


def test_bad_opsets_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    made, card = network()
    for opset in (17, 99):
        with pytest.raises(InputError, match=f"opset is {opset}; give 18 to 20"):
            to_graph(made, card, SIZE, opset)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        InputError, match="'onnxruntime', which is not installed; run: pip install 'metafacs\\[onnx\\]'"
    ):
        to_graph(made, card, SIZE)


def test_the_pre_processing_is_the_detectors() -> None:
    made, card = network()
    faces = rendered_faces(SIZE)
    with torch.no_grad():
        found, _ = FacesToAUs(made, card, SIZE).eval()(torch.from_numpy(faces))
    assert np.abs(found.numpy() - by_torch(made, card, faces)).max() < 1e-6
