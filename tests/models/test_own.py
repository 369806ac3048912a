"""Backbones of metafacs' own: their layers typed anew, and what they become in the limit."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models.alexnet import AlexNet
from metafacs.models.drml import DRML, RegionLayer
from metafacs.models.network import build_network
from metafacs.models.ofs import SizedConvolution
from metafacs.models.own import Cells
from metafacs.sample import Sample
from tests.toy_runs import SMALL_DRML

SMALL_ALEXNET = {"img_size": 67, "width": 12, "hidden": [32, 16]}


def test_each_cell_has_weights_of_its_own() -> None:
    torch.manual_seed(0)
    cells, x = Cells(3, 2, 4).double(), torch.randn(5, 3, 12, 12).double()
    expected = torch.empty(5, 2, 12, 12).double()
    for row in range(4):
        for column in range(4):
            place = (slice(None), slice(None), slice(3 * row, 3 * row + 3), slice(3 * column, 3 * column + 3))
            k = 4 * row + column
            weight, bias = cells.conv.weight[2 * k : 2 * k + 2], cells.conv.bias[2 * k : 2 * k + 2]  # type: ignore[index]
            mean, std = x[place].mean((0, 2, 3), keepdim=True), x[place].var((0, 2, 3), correction=0, keepdim=True)
            expected[place] = F.conv2d(((x[place] - mean) / (std + 1e-5).sqrt()).relu(), weight, bias, padding=1)
    torch.testing.assert_close(cells(x), expected)


def test_drml_without_region_convolutions_is_the_authors_convnet() -> None:
    torch.manual_seed(0)
    network = DRML(**SMALL_DRML).eval()  # type: ignore[arg-type]
    nn.init.zeros_(network.features[1].cells.conv.weight)  # type: ignore[union-attr, arg-type]
    x = torch.rand(3, 3, 32, 32)
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    y = F.local_response_norm(F.max_pool2d(convolutions[0](x).relu(), 2), 5, 1e-4, 0.75)
    for layer, stride in zip(convolutions[1:], (1, 1, 2, 1), strict=True):
        y = F.conv2d(y, layer.weight, layer.bias, stride).relu()
    one, two = network.classifier[1], network.classifier[4]
    torch.testing.assert_close(network(x), two(one(y.flatten(1)).relu()).relu())
    assert DRML().features(torch.zeros(1, 3, 170, 170)).shape == (1, 16, 27, 27)


def test_a_region_layer_of_one_cell_is_a_residual_block() -> None:
    torch.manual_seed(0)
    layer, x = RegionLayer(4, 1), torch.randn(2, 4, 6, 6)
    norm, conv = layer.cells.norm, layer.cells.conv
    torch.testing.assert_close(layer(x), (x + conv(F.batch_norm(x, None, None, training=True).relu())).relu())
    assert norm.num_batches_tracked == 1


def test_alexnet_is_the_layers_of_its_table() -> None:
    torch.manual_seed(0)
    network = AlexNet(**SMALL_ALEXNET).eval()  # type: ignore[arg-type]
    c = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    x = torch.rand(2, 3, 67, 67)

    def pooled(y: Tensor) -> Tensor:
        return F.max_pool2d(y.relu(), 3, 2)

    y = F.local_response_norm(pooled(F.conv2d(x, c[0].weight, c[0].bias, 4)), 5, 1e-4, 0.75)
    halves = [F.conv2d(h, w, None, 1, 2) for h, w in zip(y.chunk(2, 1), c[1].weight.chunk(2), strict=True)]
    y = F.local_response_norm(pooled(torch.cat(halves, 1) + c[1].bias.view(1, -1, 1, 1)), 5, 1e-4, 0.75)
    y = F.conv2d(y, c[2].weight, c[2].bias, 1, 1).relu()
    y = pooled(F.conv2d(F.conv2d(y, c[3].weight, c[3].bias, 1, 1, 1, 2).relu(), c[4].weight, c[4].bias, 1, 1, 1, 2))
    torch.testing.assert_close(network.features(x), y)
    assert network(x).shape == (2, 16) and AlexNet().features(torch.zeros(1, 3, 227, 227)).shape == (1, 256, 6, 6)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_filter_of_whole_odd_size_is_a_plain_convolution(size: int) -> None:
    torch.manual_seed(0)
    layer, x = SizedConvolution(3, 4, size, 7).double(), torch.randn(2, 3, 9, 9).double()
    rim = (7 - size) // 2
    middle = F.pad(layer.weight[..., rim : 7 - rim, rim : 7 - rim], [rim] * 4)
    assert torch.equal(layer(x), F.conv2d(x, middle, layer.bias, padding=3))
    layer.size.data += 1e-9  # nothing jumps there
    torch.testing.assert_close(layer(x), F.conv2d(x, middle, layer.bias, padding=3))


def test_the_size_of_a_filter_has_its_exact_derivative() -> None:
    torch.manual_seed(0)
    layer, x = SizedConvolution(3, 4, 4.3, 7).double(), torch.randn(2, 3, 9, 9).double()
    larger, smaller = (layer.weight[..., rim : 7 - rim, rim : 7 - rim] for rim in (1, 2))
    y = 0.65 * F.conv2d(x, larger, layer.bias, padding=2) + 0.35 * F.conv2d(x, smaller, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), y)
    (derivative,) = torch.autograd.grad(layer(x).sin().sum(), [layer.size])
    ends = []
    for step in (1e-6, -1e-6):
        layer.size.data.fill_(4.3 + step)
        ends.append(layer(x).sin().sum())
    torch.testing.assert_close(derivative, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-6)


SMALL_OFS = {"img_size": 32, "widths": [4, 4, 8], "hidden": 16}


@pytest.mark.parametrize("name, options", [("drml", SMALL_DRML), ("alexnet", SMALL_ALEXNET), ("ofs", SMALL_OFS)])
def test_they_stand_where_a_timm_name_does(name: str, options: dict[str, object]) -> None:
    network, images = build_network(f"metafacs_{name}", 3, 7, "scratch", options).eval(), torch.rand(5, 3, 67, 67)
    images = images[..., : int(str(options["img_size"])), : int(str(options["img_size"]))]
    whole, one = network.logits(Sample(images)), network.logits(Sample(images[:1]))
    assert whole.std(0).min() > 0
    torch.testing.assert_close(whole[:1], one)
    with pytest.raises(InputError, match="scratch"):
        build_network(f"metafacs_{name}", 3, 7)


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match="img_size 172 does not fit"):
        build_network("metafacs_drml", 3, 7, "scratch", {"img_size": 172})
    with pytest.raises(InputError, match="img_size is 40"):
        build_network("metafacs_jaa", 3, 7, "scratch", {"img_size": 40})
