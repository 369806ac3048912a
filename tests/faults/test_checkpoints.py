"""Detectors and training states that were cut, swapped or have one bit turned over anywhere: never read as good."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR, STATE
from metafacs.starter import starter_run
from metafacs.tensorfile import read_contents, write_tensors
from metafacs.training.checkpoint import load_detector, load_state, save_detector, save_state
from tests.faults.damage import cut_places, flipped, header_end, random_bits, rewritten
from tests.methods.test_registry_wide import CARD, build, take
from tests.toy_runs import BACKBONE, flags, metafacs

Load = Callable[[Path], object]


def load_any_state(path: Path) -> object:
    method = build("mal")
    return load_state(path, method.modules, method.optimisers)


def load_backbone(path: Path) -> object:
    return build_network(BACKBONE, 2, 2, str(path))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / DETECTOR
    save_detector(path, build("stl").network, CARD)
    return path


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, method = tmp_path_factory.mktemp("whole") / STATE, build("mal")
    take(method, range(1))
    save_state(path, 1, method.modules, method.optimisers)
    return path


@pytest.fixture(params=["detector", "state", "weights", "starter"])
def kind(request: pytest.FixtureRequest, detector: Path, state: Path) -> tuple[Path, Load]:
    return {
        "detector": (detector, load_detector),
        "state": (state, load_any_state),
        "weights": (detector, load_backbone),
        "starter": (starter_run() / DETECTOR, load_detector),
    }[request.param]


def refused(path: Path, load: Load) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_whole_files_are_read(kind: tuple[Path, Load]) -> None:
    path, load = kind
    assert load(path) is not None
    with safe_open(path, "pt") as opened:
        assert len(opened.metadata()["sha256"]) == 64


@pytest.mark.parametrize("count", [12, pytest.param(600, marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere(count: int, kind: tuple[Path, Load], tmp_path: Path) -> None:
    path, load = kind
    content = path.read_bytes()
    end = header_end(content)
    digest = content.index(b'"sha256":"')
    regions = [(0, 8), (8, end), (digest, digest + 76), (end - 9, end + 8), (end, len(content)), (0, len(content))]
    for byte, bit in random_bits(regions, count, seed=count):
        message = refused(rewritten(tmp_path / path.name, flipped(content, byte, bit)), load)
        assert "damaged" in message or "not written by metafacs" in message, (byte, bit, message)


def test_cut_anywhere(kind: tuple[Path, Load], tmp_path: Path) -> None:
    path, load = kind
    content = path.read_bytes()
    end = header_end(content)
    entries = json.loads(content[8:end])
    tensors = [end + at for name, entry in entries.items() if name != "__metadata__" for at in entry["data_offsets"]]
    for length in cut_places([8, 16, end, *sorted(tensors)[:: max(1, len(tensors) // 12)]], len(content)):
        assert "damaged" in refused(rewritten(tmp_path / path.name, content[:length]), load)
        if length > end:  # as a disk leaves it that was full, or lost its power
            holes = content[:length] + bytes(len(content) - length)
            if holes != content:
                assert "damaged" in refused(rewritten(tmp_path / path.name, holes), load)
    assert "damaged" in refused(rewritten(tmp_path / path.name, content + b"\0"), load)


def test_swapped_files(detector: Path, state: Path, tmp_path: Path) -> None:
    assert "is not a metafacs detector: its card does not fit" in refused(state, load_detector)
    assert "belongs to another method" in refused(detector, load_any_state)
    other = build("stl", seed=1)
    assert "belongs to another method" in refused(state, lambda path: load_state(path, other.modules, other.optimisers))


def test_parts_of_two_files(detector: Path, tmp_path: Path) -> None:
    """The header of one detector before the weights of another, both good."""
    save_detector(tmp_path / "other", build("stl", seed=5).network, CARD)
    one, other = detector.read_bytes(), (tmp_path / "other").read_bytes()
    mixed = one[: header_end(one)] + other[header_end(other) :]
    assert len(mixed) == len(one)
    assert "the SHA-256 differs" in refused(rewritten(tmp_path / DETECTOR, mixed), load_detector)


def test_older_files_without_a_digest_are_still_read(detector: Path, state: Path, tmp_path: Path) -> None:
    for path, load in ((detector, load_detector), (state, load_any_state)):
        with safe_open(path, "pt") as opened:
            header = json.loads(opened.metadata()["metafacs"])
        save_file(load_file(path), tmp_path / path.name, {"metafacs": json.dumps(header)})
        assert load(tmp_path / path.name) is not None
        save_file(load_file(path), tmp_path / path.name, {"metafacs": json.dumps(header), "sha257": "0" * 64})
        assert "its header has entries that metafacs does not write" in refused(tmp_path / path.name, load)


@pytest.mark.parametrize("found", [2, 99, "2", None, [1], 10**200])
def test_a_newer_version_names_both(found: object, detector: Path, state: Path, tmp_path: Path) -> None:
    for path, load in ((detector, load_detector), (state, load_any_state)):
        header = read_contents(path).header
        assert header is not None
        write_tensors(tmp_path / path.name, load_file(path), {**header, "format": found, "tool_version": "9.1"})
        message = refused(tmp_path / path.name, load)
        assert "was written by another version of metafacs ('9.1', format" in message
        assert "which reads format 1: install the version that wrote it" in message


def test_settings_of_a_newer_version_name_both(
    au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environment.json").write_text('{"metafacs": "9.1"}')
    (tmp_path / "config.yaml").write_text("loop: {warp: 9}\n")
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", config=tmp_path / "config.yaml")
    assert metafacs(*own) == 2
    printed = capfd.readouterr().err
    assert "loop.warp" in printed or "'warp'" in printed
    assert "was written by metafacs '9.1', this is" in printed


@pytest.mark.parametrize("command", ["evaluate", "export", "detect", "train"])
def test_commands_refuse_a_flipped_bit(
    command: str, au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "face.jpg").write_bytes(au_dataset.image_bytes(0))
    content = (starter_run() / DETECTOR).read_bytes()
    file = rewritten(tmp_path / "model.safetensors", flipped(content, len(content) - 99, 6))
    arguments = {
        "evaluate": ["evaluate", "--model", file, "--data", au_dataset.folder],
        "export": ["export", "--model", file, "--out", tmp_path / "d.onnx"],
        "detect": ["detect", tmp_path / "face.jpg", "--model", file, "--out", tmp_path / "d.csv"],
        "train": flags(tmp_path / "run", au_dataset.folder, None, method="stl", network__weights=file),
    }[command]
    if command == "export":
        pytest.importorskip("onnx")
    assert metafacs(*arguments) == 2
    printed = capfd.readouterr().err
    assert f"{file}" in printed and "the SHA-256 differs" in printed and "Traceback" not in printed
    assert not (tmp_path / "d.onnx").exists() and not (tmp_path / "d.csv").exists()


def test_writing_is_repeatable_and_the_digest_is_of_every_byte(detector: Path, tmp_path: Path) -> None:
    import hashlib

    with safe_open(detector, "pt") as opened:
        said = opened.metadata()["sha256"]
    content = detector.read_bytes()
    assert content.count(said.encode()) == 1
    assert hashlib.sha256(content.replace(said.encode(), b"0" * 64)).hexdigest() == said


def test_a_card_that_quotes_a_digest(tmp_path: Path) -> None:
    """What looks like the digest's own place within a text does not confuse it."""
    odd = f'"sha256":"{"0" * 64}"'
    write_tensors(tmp_path / "a", {odd: torch.ones(2), "sha256": torch.ones(1)}, {"a": odd, "sha256": "0" * 64})
    assert read_contents(tmp_path / "a").header == {"a": odd, "sha256": "0" * 64}
    content = (tmp_path / "a").read_bytes()
    for byte, bit in random_bits([(0, len(content))], 300, seed=0):
        with pytest.raises(InputError):
            contents = read_contents(rewritten(tmp_path / "b", flipped(content, byte, bit)))
            if contents.header is None:  # its callers refuse such files
                raise InputError("not written by metafacs")


def test_a_damaged_state_leaves_the_method_as_it_was(state: Path, tmp_path: Path) -> None:
    content = state.read_bytes()
    method = build("mal")
    before = {key: value.clone() for key, value in method.network.state_dict().items()}
    rewritten(tmp_path / STATE, flipped(content, len(content) // 2, 0))
    refused(tmp_path / STATE, lambda path: load_state(path, method.modules, method.optimisers))
    assert all(torch.equal(value, before[key]) for key, value in method.network.state_dict().items())


@pytest.mark.slow
def test_what_the_digest_costs(tmp_path: Path) -> None:
    """ResNet-34 and the state of AdamW, 255 MB: saving and reading stay within a second or so of the disk's."""
    import time

    network = build_network("resnet34", 12, 7, "scratch")
    optimiser = torch.optim.AdamW(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    start = time.process_time()
    save_state(tmp_path / STATE, 1, {"network": network}, {"base": optimiser})
    saved = time.process_time() - start
    start = time.process_time()
    read_contents(tmp_path / STATE)
    checked = time.process_time() - start
    assert (tmp_path / STATE).stat().st_size > 250e6 and saved < 3 and checked < 1, (saved, checked)
