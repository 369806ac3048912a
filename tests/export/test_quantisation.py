"""Eight bits: nearly the same numbers, a fraction of the size, standard operators, untouched pre-processing."""

from pathlib import Path

import numpy as np
import pytest

from metafacs.errors import InputError
from metafacs.export.cost import accuracy, calibration_rows, dataset_faces, scored_rows
from metafacs.export.parity import rendered_faces
from metafacs.export.quantisation import quantised
from metafacs.export.session import Session
from tests.builders import make_prepared
from tests.export.made import CARD, SIZE, plain_content

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def both() -> tuple[bytes, bytes]:
    graph = onnx.load_from_string(plain_content())
    return plain_content(), quantised(graph, rendered_faces(SIZE)).SerializeToString()


def test_int8_is_near_float32_and_smaller(both: tuple[bytes, bytes]) -> None:
    plain, small = map(Session, both)
    faces = rendered_faces(SIZE)
    one, other = plain.probabilities(faces), small.probabilities(faces)
    assert 0 < np.abs(one - other).mean() < 0.05
    assert small.size < 0.6 * plain.size
    # not bit for bit: the blocks of a convolution may differ with the number of faces
    assert np.abs(small.probabilities(faces, 3) - other).max() < 0.02


def test_every_convolution_has_eight_bits_and_the_pre_processing_has_not(both: tuple[bytes, bytes]) -> None:
    model = onnx.load_from_string(both[1])
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    givers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        assert [givers[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    scales = [weights[givers[node.input[1]].input[1]] for node in convolutions]
    assert all(scale.size > 1 for scale in scales)  # per channel
    before = [givers[givers[convolutions[0].input[0]].input[0]]]
    assert before[0].op_type == "QuantizeLinear"
    waiting = list(before[0].input)
    while waiting:
        node = givers.get(waiting.pop())
        if node is not None:
            before.append(node)
            waiting += node.input
    kinds = {node.op_type for node in before[1:]}
    assert {"Gather", "Floor", "Transpose"} <= kinds and not {"QuantizeLinear", "DequantizeLinear"} & kinds


def test_people_of_the_test_never_calibrate_and_only_they_are_scored(tmp_path: Path) -> None:
    own = make_prepared(tmp_path / "own", name="toy", unlabelled=0.1)
    other = make_prepared(tmp_path / "other", name="else")
    subjects = own.column("subject")
    assert set(subjects[calibration_rows(own, CARD, 20)]).isdisjoint(CARD.test_subjects)
    assert len(calibration_rows(own, CARD, 20)) == 20 and len(calibration_rows(own, CARD)) == 32
    assert set(subjects[scored_rows(own, CARD, ["AU01"])]) == set(CARD.test_subjects)
    assert len(scored_rows(other, CARD, ["AU01"])) == len(calibration_rows(other, CARD)) == 48
    strangers = make_prepared(tmp_path / "strangers", name="toy", subjects=2, frames=4)
    made = CARD.__class__(**{**vars(CARD), "test_subjects": ["S000", "S001"]})
    with pytest.raises(InputError, match="only people whom this detector is tested on"):
        calibration_rows(strangers, made)
    made.test_subjects = ["S009"]
    with pytest.raises(InputError, match="no labelled face of people who did not train"):
        scored_rows(strangers, made, ["AU01"])


def test_what_int8_costs(both: tuple[bytes, bytes], tmp_path: Path) -> None:
    dataset = make_prepared(tmp_path / "else", name="else", aus=["AU01", "AU02", "AU12", "AU24"])
    plain, small = map(Session, both)
    table = accuracy(plain, small, dataset, CARD, SIZE)
    assert table.index.tolist() == ["AU01", "AU12", "AU24", "average"]
    faces, labels = dataset_faces(dataset, np.arange(48), SIZE), dataset.au_labels(["AU12"])[:, 0]
    for name, session in (("float32", plain), ("int8", small)):
        present = session.probabilities(faces)[:, 2] >= CARD.thresholds[2]
        hits = (present & (labels == 1)).sum()
        assert table.loc["AU12", f"f1_{name}"] == pytest.approx(200 * hits / (present.sum() + labels.sum()))
    assert np.allclose(table["f1_lost"], table["f1_float32"] - table["f1_int8"])
    assert table.loc["average", "auc_int8"] == pytest.approx(table["auc_int8"].iloc[:3].mean())
    same = accuracy(plain, plain, dataset, CARD, SIZE)
    assert (same[["f1_lost", "auc_lost", "changed"]] == 0).all(axis=None)
