"""Detectors with a right digest whose card or weights a stranger has made to do harm."""

import socket
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.runs import DETECTOR
from metafacs.training import card_checks
from metafacs.training.checkpoint import load_detector
from tests.faults.hostile import Said, little_memory, refusal, write
from tests.methods.test_registry_wide import CARD, build
from tests.toy_runs import flags


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    return partial(refusal, capfd, tmp_path / "BOOM")


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


def test_a_backbone_that_cannot_be_built_without_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with timm's older versions, which look at numbers while they build."""
    create, asked = timm.create_model, []

    def looking(*given: Any, **named: Any) -> Any:
        asked.append([rate.item() for rate in torch.linspace(0, 0.2, 3)])
        return create(*given, **named)

    path = write(tmp_path / DETECTOR)
    monkeypatch.setattr(timm, "create_model", looking)
    _, card = load_detector(path)
    assert card == CARD and len(asked) == 2
    with pytest.raises(InputError, match="do not fit the network"):
        load_detector(write(tmp_path / DETECTOR, expressions=["a", "b"]))


def test_every_entry_of_a_card_is_checked() -> None:
    """A new entry of the card needs a rule, or this says so."""
    names = {*card_checks._NAMES, *card_checks._NUMBERS, "aus", "thresholds", "expressions", "test_subjects"}
    assert set(asdict(CARD)) == names | {"crop", "backbone_options"}
