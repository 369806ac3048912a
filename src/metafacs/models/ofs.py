"""OFS-CNN's network (reconstructed): convolutions that learn the size of their filters.

Paper: Han, Meng, O'Reilly, Cai, Wang & Tong, Optimizing Filter Size in Convolutional Neural Networks for Facial Action
Unit Recognition, CVPR 2018. Neither code nor text was to be had; this is from memory. A filter has a real size k
between the odd sizes k- and k- + 2; with W the filter of the larger one,

    y = a W * x + (1 - a) W- * x,   a = (k - k-) / 2,   W- the middle of W

that is, the outer ring of W counts a; k is learned with the weights by the derivative of this line. With k whole and
odd it is a plain convolution, to the last bit.
Differs from the paper in: what is not known of it. Weights are stored at the largest size and rings that k has not
reached wait as they started, where the paper grows and shrinks filters; one network for all AUs where the paper has one
for each; colour, square images and the layers' widths are ours.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.own import backbone, flat_size, hidden_layers, start


class SizedConvolution(nn.Conv2d):
    """A convolution that keeps the size of its input and learns the size of its filters.

    Args:
        channels: of the input.
        out: of the output.
        size: k at the start.
        largest: odd, above which k cannot grow.
    """

    inner: Tensor

    def __init__(self, channels: int, out: int, size: float, largest: int) -> None:
        super().__init__(channels, out, largest, padding=largest // 2)
        self.size = nn.Parameter(torch.tensor(float(size)))
        line = (torch.arange(largest) - largest // 2).abs()
        ring = torch.maximum(line[:, None], line)
        self.register_buffer("inner", (2 * ring - 1).to(self.size.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H, W)."""
        share = ((self.size - self.inner) / 2).clamp(0, 1)  # of each weight's ring; the middle counts whole
        middle = self.inner < 0
        return F.conv2d(x, self.weight * share.masked_fill(middle, 1.0), self.bias, padding=self.padding)


@backbone("ofs")
class OFSCNN(nn.Module):
    """Three convolutions that learn their size, each with pooling, and a hidden layer.

    Args:
        img_size: S, side of the images, pixels.
        widths: channels of the convolutions.
        size: of their filters at the start.
        largest: size of their filters, odd.
        hidden: size of the hidden layer.
    """

    def __init__(
        self,
        img_size: int = 96,
        widths: Sequence[int] = (32, 32, 64),
        size: float = 5.0,
        largest: int = 11,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        if largest % 2 == 0 or not 1 <= size <= largest:
            raise ValueError(f"largest is {largest} and size {size}; largest must be odd, and size from 1 to it")
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            layers += [SizedConvolution(before, after, size, largest), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        self.features = nn.Sequential(*layers)
        self.classifier = hidden_layers(flat_size(self.features, img_size), (hidden,))
        self.num_features = hidden
        start(self)
        for layer in self.features:
            if isinstance(layer, SizedConvolution):  # He's rule for the filter that counts, not for the largest
                nn.init.normal_(layer.weight, 0, (2 / (layer.in_channels * size**2)) ** 0.5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, num_features)."""
        return self.classifier(self.features(images))
