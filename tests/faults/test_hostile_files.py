"""Files that somebody made to do harm: no code runs, nothing is fetched, little memory is taken, the error is clear."""

import json
import os
import pickle
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from metafacs.data.prepared import CARD_FILE, FACES_FILE, PreparedDataset
from metafacs.errors import InputError
from metafacs.models.network import build_network
from metafacs.tensorfile import write_tensors
from metafacs.training import card_checks
from metafacs.training.checkpoint import FORMAT, load_detector, load_state, save_state
from metafacs.training.run import CONFIG, DETECTOR, STATE
from metafacs.yamlfile import MOST_BYTES, parse_yaml, read_yaml
from tests.methods.test_registry_wide import CARD, build, take
from tests.toy_runs import BACKBONE, flags, metafacs

Said = Callable[..., str]


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.path}'",))


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that must be refused in few words, quickly, without a bomb going off."""

    def run(*arguments: object) -> str:
        capfd.readouterr()
        start = time.monotonic()
        assert metafacs(*arguments) == 2
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err + printed.out
        assert "\x1b" not in printed.err + printed.out
        assert time.monotonic() - start < 20
        assert not (tmp_path / "BOOM").exists(), "code ran"
        return printed.err

    return run


@contextmanager
def little_memory(mebibytes: int = 600) -> Iterator[None]:
    """Nothing within may take much more memory than there was."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < mebibytes * 1024


# Pickles


def bombs(folder: Path, target: Path) -> dict[str, bytes]:
    """A bomb as torch writes it, as it wrote it once, as a bare pickle, and in text."""
    torch.save({"state_dict": {"a": torch.zeros(2)}, "b": Bomb(target)}, folder / "zip")
    torch.save({"b": Bomb(target)}, folder / "old", _use_new_zipfile_serialization=False)
    found = {"zip": (folder / "zip").read_bytes(), "old": (folder / "old").read_bytes()}
    return {**found, "bare": pickle.dumps(Bomb(target)), "text": pickle.dumps(Bomb(target), protocol=0)}


@pytest.fixture(params=["zip", "old", "bare", "text"])
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    (tmp_path / "made").mkdir()
    return bombs(tmp_path / "made", tmp_path / "BOOM")[request.param]


def test_the_bomb_works(bomb: bytes, tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    (tmp_path / "made" / "bomb").write_bytes(bomb)
    if bomb[:2] in (b"PK", b"\x80\x02"):
        torch.load(tmp_path / "made" / "bomb", weights_only=False)
    else:
        pickle.loads(bomb)
    assert (tmp_path / "BOOM").exists()


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".safetensors", ""])
def test_a_pickle_as_a_model_or_weights(
    bomb: bytes, ending: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(bomb)
    for load in (load_detector, lambda path: build_network(BACKBONE, 2, 2, str(path))):
        with pytest.raises(InputError, match=r"damaged or no safetensors file .*never read, because they can run code"):
            load(file)
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", network__weights=file)
    assert "never read, because they can run code" in said(*own)
    assert not (tmp_path / "run").exists()
    assert "can run code" in said("evaluate", "--model", file, "--data", au_dataset.folder)
    (tmp_path / "folder").mkdir()
    shutil.copy(file, tmp_path / "folder" / DETECTOR)
    assert "can run code" in said("evaluate", "--model", tmp_path / "folder", "--data", au_dataset.folder)


def test_a_pickle_as_everything_else(
    bomb: bytes, au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(bomb)
    toy = au_dataset.folder, fe_dataset.folder
    said(*flags(tmp_path / "run", *toy, method="stl", config=file))
    said(*flags(tmp_path / "run", *toy, method="stl", data=file))
    said(*flags(tmp_path / "run", *toy, method="stl", loop=file))
    said(*flags(tmp_path / "run", file, toy[1]))
    said("inspect", file)
    for name in (FACES_FILE, CARD_FILE):
        copy = shutil.copytree(toy[0], tmp_path / name)
        (copy / name).write_bytes(bomb.ljust((toy[0] / name).stat().st_size, b"\0")[: (toy[0] / name).stat().st_size])
        said("inspect", copy)
        said(*flags(tmp_path / "run", copy, None, method="stl"))
    run = tmp_path / "run"
    run.mkdir()
    own = flags(run, *toy, method="stl")
    (run / CONFIG).write_bytes(bomb)
    said(*own, "--resume")
    said("evaluate", run)


def test_a_pickle_as_the_saved_state(bomb: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    from metafacs.commands import train as command

    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", loop__steps=4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command._Session, "_finish", lambda *given: (_ for _ in ()).throw(InputError("stopped")))
        said(*own)
    assert (tmp_path / "run" / STATE).exists()
    (tmp_path / "run" / STATE).write_bytes(bomb)
    assert "damaged or no safetensors file" in said(*own, "--resume")


@pytest.mark.parametrize(
    "name", ["pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"]
)
def test_options_of_a_backbone_that_would_load_files(
    name: str, bomb: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    (tmp_path / "w.pth").write_bytes(bomb)
    value = (
        {"file": str(tmp_path / "w.pth")}
        if "cfg" in name
        else True
        if name == "pretrained"
        else str(tmp_path / "w.pth")
    )
    options = json.dumps({name: value})
    own = flags(tmp_path / "run", au_dataset.folder, None, **{"method": "stl", "network.options": options})
    assert f"{name} is no option here; weights come from --network.weights" in said(*own)
    write(tmp_path / DETECTOR, backbone_options={name: value})
    with pytest.raises(InputError, match=f"{name} is no option here"):
        load_detector(tmp_path / DETECTOR)
    assert not (tmp_path / "BOOM").exists()


# Checkpoints


def write(path: Path, drop: str = "", tensors: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
    """A detector with a good digest, as somebody can make it who means harm."""
    network = build("stl").network
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    header = {"format": FORMAT, **asdict(CARD), **changes}
    header.pop(drop, None)
    write_tensors(path, own if tensors is None else tensors, header)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"side": 10**9},
        {"side": -1},
        {"side": 0},
        {"side": True},
        {"side": 32.5},
        {"side": "32"},
        {"side": 64, "resize": 36},
        {"resize": 10**9},
        {"resize": None},
        {"aus": []},
        {"aus": "AU01"},
        {"aus": ["AU01"] * 5},
        {"aus": ["AU01", "AU02", "AU04", "AU06", "<b>AU12</b>"]},
        {"aus": ["AU01", "AU02", "AU04", "AU06", "AU12\n"]},
        {"aus": [1, 2, 3, 4, 5]},
        {"aus": [["AU01"]] * 5},
        {"thresholds": []},
        {"thresholds": [0.5] * 4},
        {"thresholds": [0.5] * 4 + [2]},
        {"thresholds": [0.5] * 4 + [-0.1]},
        {"thresholds": [0.5] * 4 + [float("nan")]},
        {"thresholds": [0.5] * 4 + [None]},
        {"thresholds": 0.5},
        {"expressions": []},
        {"expressions": ["a"] * 7},
        {"expressions": [str(k) for k in range(100_000)]},
        {"expressions": ["\x1b[31mred", "1", "2", "3", "4", "5", "6"]},
        {"dataset": "\x1b]0;owned\x07"},
        {"dataset": "a\nb"},
        {"dataset": "x" * 10_000},
        {"dataset": None},
        {"test_fold": ["P1"]},
        {"test_subjects": "S000"},
        {"test_subjects": [0]},
        {"test_subjects": ["\r\x1b[2K"]},
        {"method": 7},
        {"seed": -1},
        {"seed": 10**40},
        {"steps": "many"},
        {"crop": []},
        {"crop": {"size": float("inf")}},
        {"backbone": ""},
        {"backbone": "../../etc/passwd"},
        {"backbone": "hf-hub:somebody/something"},
        {"backbone": "local-dir:/tmp"},
        {"backbone": "https://example.org/model"},
        {"backbone": "os.system"},
        {"backbone": "resnet34.evil/../x"},
        {"backbone": ["resnet34"]},
        {"backbone_options": {"drop_rate": float("nan")}},
        {"backbone_options": {"in_chans": 10**9}},
        {"backbone_options": {"in_chans": 90_000}},
        {"backbone_options": {"wings": 2}},
        {"backbone_options": {"norm_layer": "os.system"}},
        {"backbone_options": {"act_layer": "__import__('os').system('true')"}},
        {"backbone_options": [["a", 1]]},
        {"backbone_options": {"drop_rate": {"a": {"b": [10**300]}}}},
        {"backbone": "test_resnet", "backbone_options": {"layers": [90_000] * 4}},
        {"backbone": "vit_tiny_patch16_224", "backbone_options": {"depth": 90_000}},
        {"backbone": "vit_tiny_patch16_224", "backbone_options": {"embed_dim": 99_999, "num_heads": 1}},
        {"backbone": "vit_tiny_patch16_224", "backbone_options": {"img_size": 99_999}},
        {"network": "plain"},
        {"colour": "red"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_hostile_card(changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*given: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    path = write(tmp_path / DETECTOR, **changes)
    start = time.monotonic()
    with little_memory(), pytest.raises(InputError) as caught:
        load_detector(path)
    message = str(caught.value)
    assert str(path) in message and len(message) < 1500
    assert message.replace("\n", "").isprintable() and time.monotonic() - start < 10


@pytest.mark.parametrize("drop", ["aus", "backbone", "crop", "side", "test_subjects"])
def test_a_card_without_an_entry(drop: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"its card does not fit .*'{drop}'"):
        load_detector(write(tmp_path / DETECTOR, drop=drop))


def test_crops_beyond_all_measure(tmp_path: Path, au_dataset: PreparedDataset, said: Said) -> None:
    """The recipe is what commands follow that cut faces out."""
    pytest.importorskip("dlib")
    (tmp_path / "face.jpg").write_bytes(au_dataset.image_bytes(0))
    for crop in ({"kind": "similarity", "size": 10**9}, {"kind": "similarity", "size": "9"}, {"kind": ["x"]}, {"a": 1}):
        model = write(tmp_path / "crop.safetensors", crop=crop)
        printed = said("detect", tmp_path / "face.jpg", "--model", model, "--out", tmp_path / "found.csv")
        assert "cannot be repeated" in printed or "damaged" in printed, printed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(value: float, tmp_path: Path, au_dataset: PreparedDataset, said: Said) -> None:
    tensors = {f"network.{name}": each.clone() for name, each in build("stl").network.state_dict().items()}
    for name in ("network.au_head.bias", "network.backbone.bn1.running_var"):
        spoilt = {**tensors, name: tensors[name].index_fill(0, torch.tensor([1]), value)}
        path = write(tmp_path / "spoilt.safetensors", tensors=spoilt)
        with pytest.raises(InputError, match="holds weights that are not finite numbers"):
            load_detector(path)
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", network__weights=path)
    assert "numbers that are not finite" in said(*own)
    assert "not finite numbers" in said("evaluate", "--model", path, "--data", au_dataset.folder)


def test_tensors_that_are_not_those_of_the_network(tmp_path: Path) -> None:
    own = {f"network.{name}": value for name, value in build("stl").network.state_dict().items()}
    first = next(iter(own))
    for tensors in (
        {},
        {**own, "more": torch.zeros(2)},
        {name: value for name, value in own.items() if name != first},
        {**own, first: own[first].flatten()},
        {**own, first: torch.zeros(0, 3, 3, 3)},
        {name.upper(): value for name, value in own.items()},
        {name.removeprefix("network."): value for name, value in own.items()},
        {**own, "network.\x1b[2J": torch.zeros(1)},
    ):
        with pytest.raises(InputError, match=r"the weights in .* do not fit the network") as caught:
            load_detector(write(tmp_path / DETECTOR, tensors=tensors))
        assert "\x1b" not in str(caught.value)


def raw(path: Path, header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


SAID = json.dumps({"format": FORMAT, **asdict(CARD)})


@pytest.mark.parametrize(
    "header, data, length",
    [
        (b"", b"", 2**63),
        (b"{}", b"", 2**64 - 1),
        (b"{}", b"", 10**9),
        (b"{}", b"", 0),
        (b"[" * 200_000, b"", None),
        (b'{"a":' * 50_000, b"", None),
        ({"a": {"dtype": "F32", "shape": [2**60, 2**60], "data_offsets": [0, 8]}}, bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}, bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4), None),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, bytes(4), None),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}, bytes(8), None),
        (
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
            None,
        ),
        ({"__metadata__": {"metafacs": "[" * 100_000}}, b"", None),
        ({"__metadata__": {"metafacs": '{"format": 1, "seed": ' + "9" * 5000 + "}"}}, b"", None),
        ({"__metadata__": {"metafacs": SAID, "sha256": "zz"}}, b"", None),
        ({"__metadata__": {"metafacs": SAID, "sha256": "0" * 64}}, b"", None),
        ({"__metadata__": {"metafacs": 7}}, b"", None),
        ({"__metadata__": {"metafacs": "{}"}}, b"", None),
        ({"__metadata__": {"metafacs": '{"format": true}'}}, b"", None),
        (
            {"__metadata__": {"metafacs": SAID}, "a": {"dtype": "F32", "shape": [2**60, 0], "data_offsets": [0, 0]}},
            b"",
            None,
        ),
    ],
    ids=str,
)
def test_a_hostile_header(header: Any, data: bytes, length: int | None, tmp_path: Path) -> None:
    path = raw(tmp_path / DETECTOR, header, data, length)
    method = build("stl")
    for load in (
        load_detector,
        lambda path: load_state(path, method.modules, method.optimisers),
        lambda path: build_network(BACKBONE, 2, 2, str(path)),
    ):
        with little_memory(), pytest.raises(InputError) as caught:
            load(path)
        assert str(path) in str(caught.value) and len(str(caught.value)) < 1500


def test_a_sparse_file_of_a_terabyte(tmp_path: Path) -> None:
    """Its tensor is as large as it says, but no network has it: nothing of it is read."""
    size = 2**40
    header = {"__metadata__": {"metafacs": SAID}, "a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    path = raw(tmp_path / DETECTOR, header)
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("no sparse files here")
    start = time.monotonic()
    with little_memory(), pytest.raises(InputError, match=r"do not fit the network|damaged"):
        load_detector(path)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        "x",
        {"pairs": 3},
        {"pairs": [["state", {"tensor": "nowhere"}]]},
        {"pairs": [["state", {"pairs": []}]]},
        {"pairs": [["param_groups", [1]], ["state", {"pairs": []}]]},
        {"pairs": [["param_groups", []], ["state", {"pairs": []}]]},
        {"pairs": [[["a"], 1]]},
        {"wrong": 1},
    ],
    ids=str,
)
def test_a_hostile_state(tree: Any, tmp_path: Path) -> None:
    method = build("stl")
    take(method, range(1))
    save_state(tmp_path / STATE, 1, method.modules, method.optimisers)
    tensors = load_file(tmp_path / STATE)
    write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": 1, "optimisers": {"base": tree}})
    with pytest.raises(InputError, match=r"the state of the optimiser 'base' in .* does not fit"):
        load_state(tmp_path / STATE, method.modules, method.optimisers)
    for step in (-1, "1", None, 2.5, True):
        write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": step, "optimisers": {"base": tree}})
        with pytest.raises(InputError):
            load_state(tmp_path / STATE, method.modules, method.optimisers)
    write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": 1, "optimisers": tree})
    with pytest.raises(InputError):
        load_state(tmp_path / STATE, method.modules, method.optimisers)


def test_moments_of_another_shape(tmp_path: Path) -> None:
    method = build("stl")
    take(method, range(1))
    optimiser = method.optimisers["base"]
    parameter = optimiser.param_groups[0]["params"][0]
    optimiser.state[parameter]["exp_avg"] = torch.zeros(1, 1, 1, 1)
    save_state(tmp_path / STATE, 1, method.modules, method.optimisers)
    other = build("stl")
    with pytest.raises(InputError, match="exp_avg of parameter 0 has another shape"):
        load_state(tmp_path / STATE, other.modules, other.optimisers)


def test_names_of_all_kinds_that_are_allowed(tmp_path: Path) -> None:
    """Other scripts and signs are names too; where pages show them they are escaped there."""
    names = {"dataset": "données <b>été</b> 表情", "test_fold": "train/1", "test_subjects": ["S 1", "é\u00a0", "a&b"]}
    _, card = load_detector(write(tmp_path / DETECTOR, **names))
    assert {name: getattr(card, name) for name in names} == names


def test_training_refuses_first_what_loading_would_refuse_last(
    au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    assert "data.resize is 5000" in said(*flags(tmp_path / "run", au_dataset.folder, None, data__resize=5000))
    for seed in (2**63, 10**30, "null"):
        assert "seed" in said(*flags(tmp_path / "run", au_dataset.folder, None, method="stl", seed=seed))
    assert not (tmp_path / "run").exists()


# YAML

LETTERS = "abcdefghij"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{name}'] * 10)}]\n" for name, after in pairwise(LETTERS)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{','.join([f'*{name}'] * 10)}]}}\n" for name, after in pairwise(LETTERS)
)
HOSTILE = {
    "call": "!!python/object/apply:os.system ['touch {target}']\n",
    "new": "out: !!python/object/new:os.system ['touch {target}']\n",
    "module": "seed: !!python/module:subprocess\n",
    "name": "seed: !!python/name:os.system\n",
    "tuple": "seed: !!python/tuple [1]\n",
    "class": "data: {{class_path: subprocess.Popen, init_args: {{args: [touch, '{target}']}}}}\n",
    "laughs": LAUGHS.replace("{", "{{").replace("}", "}}"),
    "merges": MERGES.replace("{", "{{").replace("}", "}}"),
    "itself": "a: &a [*a]\n",
    "itself by key": "a: &a {{b: *a}}\n",
    "twice": "seed: 1\nseed: 2\n",
    "twice below": "loop: {{steps: 3, steps: 4}}\n",
    "deep": "[" * 20_000,
    "deep maps": "a: " + "{{a: " * 3000,
    "deep blocks": "\n".join(" " * k + "a:" for k in range(300)),
    "binary": "\x00\x01\x02",
    "digits": "seed: " + "9" * 6000,
    "date": "seed: 2024-99-99",
    "unknown": "nonsense: 1",
    "empty": "",
    "list": "- 1",
    "text": "hello",
    "types": "seed: [1]\nloop: 3\n",
    "truth": "seed: true",
    "long": "#" * (MOST_BYTES + 1),
    "itself as a file": "config: {file}\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
}


@pytest.mark.parametrize("flag", ["--config", "--config=", "--data", "--loop"])
@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_configuration(name: str, flag: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=file))
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", loop__steps=1)
    with little_memory(200):
        said(*own, *([f"{flag}{file}"] if flag.endswith("=") else [flag, file]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "seed: 1".encode("utf-16"), b"a: \xe9\n"])
def test_a_configuration_that_is_no_text(
    content: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    for flag in ("--config", "--data"):
        said(*flags(tmp_path / "run", au_dataset.folder, None, method="stl"), flag, tmp_path / "c.yaml")
    with pytest.raises(InputError, match=r"c\.yaml is not valid YAML"):
        read_yaml(tmp_path / "c.yaml")


def test_what_is_no_file_is_not_read_as_one(au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl")
    assert "/dev/zero is no file" in said(*own, "--config", "/dev/zero")
    assert f"{tmp_path} is no file" in said(*own, f"--config={tmp_path}")


def test_a_hostile_configuration_of_a_run(au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("call", "laughs", "deep", "twice", "digits", "binary", "list"):
        (run / CONFIG).write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=run))
        assert "config.yaml is not" in said(*flags(run, au_dataset.folder, None, method="stl"), "--resume")


@pytest.mark.parametrize("where", ["data: {}", "network: {options: {}}", "{}", "loop: {}"])
def test_a_class_in_a_configuration_is_not_imported(
    where: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing a module is running code."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "innocent.py").write_text(
        f"open({str(tmp_path / 'BOOM')!r}, 'w').close()\nclass Innocent: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "c.yaml").write_text(where.replace("{}", "{class_path: innocent.Innocent}") + "\n")
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl")
    for flag in ("--config", "--data", "--network", "--loop"):
        said(*own, flag, tmp_path / "c.yaml")


def test_anchors_within_reason_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n") == {"a": [1, 2], "b": [1, 2]}
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n")["b"] == {"x": 1, "y": 2}


@pytest.mark.slow
def test_memory_and_time_of_the_worst_ones_in_a_process_of_their_own(tmp_path: Path) -> None:
    """With half a gibibyte more than an ordinary start needs, and ten seconds of processor time."""
    for name in ("laughs", "merges", "deep", "deep maps", "digits", "long"):
        (tmp_path / "c.yaml").write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=""))
        code = (
            "import resource, sys, metafacs.commands.train; from metafacs.cli import main\n"
            "size = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
            "resource.setrlimit(resource.RLIMIT_AS, (size + 2**29, size + 2**29))\n"
            "used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)\n"
            "resource.setrlimit(resource.RLIMIT_CPU, (used + 10, used + 10))\n"
            f"sys.exit(main(['train', '--config', {str(tmp_path / 'c.yaml')!r}]))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 2 and "Traceback" not in done.stderr, (name, done.stderr)


def test_every_entry_of_a_card_is_checked() -> None:
    """A new entry of the card needs a rule, or this says so."""
    names = {*card_checks._NAMES, *card_checks._NUMBERS, "aus", "thresholds", "expressions", "test_subjects"}
    assert set(asdict(CARD)) == names | {"crop", "backbone_options"}
