import json
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models.network import Network
from metafacs.models.stitched import StitchedNetwork
from metafacs.starter import starter_run
from metafacs.tensorfile import read_tensors, write_tensors
from metafacs.training.checkpoint import all_finite, load_detector, load_state, save_detector, save_state
from tests.methods.networks import TinyBackbone
from tests.methods.test_registry_wide import CARD, build, card_of, take

SIZES = (CARD.aus, CARD.expressions)


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    save_detector(tmp_path / "detector.safetensors", build("stl").network, CARD)
    return tmp_path / "detector.safetensors"


def state(seed: int = 0) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    method = build("mal", seed)
    take(method, range(1))
    return method.modules, method.optimisers


def test_everything_a_detector_needs_is_in_its_file(detector: Path) -> None:
    network, card = load_detector(detector)
    expected = build("stl").network.state_dict()
    assert card == CARD and not network.training
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    with safe_open(detector, "pt") as opened:
        header = json.loads(opened.metadata()["metafacs"])
    assert header["aus"] == CARD.aus and header["test_subjects"] == ["S000"] and header["tool_version"]


@pytest.mark.parametrize("name", ["mtan", "cross_stitch"])
def test_a_network_of_another_form_comes_back(name: str, tmp_path: Path) -> None:
    method = build(name)
    card = card_of(name)
    save_detector(tmp_path / "d", method.network, card)
    network, found = load_detector(tmp_path / "d")
    expected = method.network.state_dict()
    assert found == card and type(network) is type(method.network) and not network.training
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def test_only_another_form_is_named_in_the_file(detector: Path, tmp_path: Path) -> None:
    """So that files of plain networks stay as they were, in both directions of time."""
    save_detector(tmp_path / "d", StitchedNetwork(build("mtan").network, per="layer"), CARD)
    headers = []
    for path in (detector, tmp_path / "d"):
        with safe_open(path, "pt") as opened:
            headers.append(json.loads(opened.metadata()["metafacs"]))
    assert "network" not in headers[0]
    assert headers[1]["network"] == {"form": "stitched", "facts": {"per": "layer"}}


@pytest.mark.parametrize(
    "form, message",
    [
        ({"form": "braided", "facts": {}}, "cannot build: unknown form of network 'braided'; known: plain"),
        ({"form": "stitched", "facts": {"loops": 2}}, "cannot build: .*'loops'"),
        ({"form": "stitched", "facts": {"own": "x"}}, "cannot build: "),
        ({"form": ["stitched"], "facts": {}}, "cannot build: "),
        ({"form": "attended", "facts": {}}, "cannot build: MTAN works on the stages of timm's ResNets"),
    ],
)
def test_forms_that_cannot_be_built(form: object, message: str, detector: Path) -> None:
    with safe_open(detector, "pt") as opened:
        header = json.loads(opened.metadata()["metafacs"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    save_file(tensors, detector, {"metafacs": json.dumps({**header, "network": form})})
    with pytest.raises(InputError, match=message):
        load_detector(detector)


def test_a_checkpoint_is_as_open_to_others_as_any_file(detector: Path) -> None:
    (detector.parent / "other").touch()
    assert stat.S_IMODE(detector.stat().st_mode) == stat.S_IMODE((detector.parent / "other").stat().st_mode)


@pytest.mark.parametrize("length", [0, 5, 8, 100, 5000, -1])
def test_a_truncated_detector(detector: Path, length: int) -> None:
    detector.write_bytes(detector.read_bytes()[:length])
    with pytest.raises(InputError, match=r"detector.safetensors is damaged .*copy it again, or remove it"):
        load_detector(detector)


def test_files_that_are_no_detectors(tmp_path: Path, detector: Path) -> None:
    with pytest.raises(InputError, match="does not exist; give a run folder whose training has finished"):
        load_detector(tmp_path / "nowhere")
    save_file({"a": torch.zeros(2)}, tmp_path / "a")
    with pytest.raises(InputError, match="was not written by metafacs"):
        load_detector(tmp_path / "a")
    torch.save({"a": torch.zeros(2)}, tmp_path / "a")
    with pytest.raises(InputError, match="is damaged or not a safetensors file"):
        load_detector(tmp_path / "a")
    save_state(tmp_path / "a", 3, *state())
    with pytest.raises(InputError, match="is not a metafacs detector"):
        load_detector(tmp_path / "a")


@pytest.mark.parametrize(
    "header, message",
    [
        ("{", "is damaged"),
        ("[1]", "is damaged"),
        ('{"format": 99}', "was written by another version of metafacs"),
        ('{"format": 1}', "its card does not fit"),
    ],
)
def test_strange_headers(header: str, message: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a", {"metafacs": header})
    with pytest.raises(InputError, match=message):
        load_detector(tmp_path / "a")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"aus": ["AU01", "AU99"]}, "not AU columns"),
        ({"thresholds": [0.5]}, r"thresholds are \[0.5\]; each of 5 AUs"),
        ({"side": 64, "resize": 36}, "side is 64 and resize is 36"),
        ({"side": "32"}, "missing, unknown or mistyped entries: side"),
        ({"seed": True}, "mistyped entries: seed"),
        ({"expressions": [1]}, "mistyped entries: expressions"),
        ({"colour": "red"}, "mistyped entries: colour"),
        ({"backbone": "no_such_net"}, "that this version cannot build: .*no_such_net"),
        ({"backbone_options": {"wings": 2}}, "that this version cannot build: .*wings"),
        ({"backbone_options": {"pretrained_cfg": {"file": "w.pth"}}}, "pretrained_cfg"),
    ],
    ids=str,
)
def test_a_card_that_cannot_be(change: dict[str, object], message: str, detector: Path) -> None:
    header, tensors = read_tensors(detector)
    write_tensors(detector, tensors, {**header, **change})
    with pytest.raises(InputError, match=message):
        load_detector(detector)


def test_a_detector_of_an_earlier_version_without_a_digest_of_its_contents_opens(detector: Path) -> None:
    with safe_open(detector, "pt") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    assert metadata.pop("content_sha256")
    save_file(tensors, detector, metadata)
    assert load_detector(detector)[1].aus == CARD.aus
    assert load_detector(starter_run() / "detector.safetensors")[1].aus


def test_weights_that_do_not_fit_their_card(tmp_path: Path) -> None:
    save_detector(tmp_path / "d", Network(TinyBackbone(), 16, 5, 7), CARD)
    with pytest.raises(InputError, match="do not fit the network"):
        load_detector(tmp_path / "d")


def test_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    modules, optimisers = state()
    others, other_optimisers = state(seed=1)
    save_state(tmp_path / "s", 7, modules, optimisers)
    assert load_state(tmp_path / "s", others, other_optimisers) == 7
    for name, module in modules.items():
        restored = others[name].state_dict()
        assert all(torch.equal(value, restored[key]) for key, value in module.state_dict().items())
    for name, optimiser in optimisers.items():
        assert same(optimiser.state_dict(), other_optimisers[name].state_dict())


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    return one == other


def test_a_state_of_another_method_or_network(tmp_path: Path) -> None:
    stl = build("stl")
    save_state(tmp_path / "s", 1, *state())
    with pytest.raises(InputError, match="belongs to another method; choose another run folder"):
        load_state(tmp_path / "s", stl.modules, stl.optimisers)
    with pytest.raises(InputError, match="do not fit the network"):
        load_state(tmp_path / "s", {"network": nn.Linear(2, 2)}, state()[1])


def test_what_only_a_pickle_could_hold_is_refused(tmp_path: Path) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    optimiser.param_groups[0]["lr"] = lambda: 1
    with pytest.raises(TypeError, match="cannot be saved without a pickle"):
        save_state(tmp_path / "s", 1, {}, {"base": optimiser})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_found(value: float) -> None:
    for spoilt in ("1.weight", "1.running_var"):
        module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        assert all_finite({"a": module})
        module.state_dict()[spoilt][1] = value
        assert not all_finite({"ok": nn.Linear(1, 1), "a": module})
