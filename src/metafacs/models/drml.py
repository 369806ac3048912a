"""DRML's network: a convolution with weights of its own in each of 8 x 8 regions of the face.

Paper: Zhao, Chu & Zhang, Deep Region and Multi-label Learning for Facial Action Unit Detection, CVPR 2016, after the
layers that its authors published: a convolution 32 (11 x 11); the region layer R, in each of 8 x 8 cells BatchNorm,
ReLU and a 3 x 3 convolution padded within the cell; then

    x = LRN(max2(ReLU(c + R(c)))),   c = conv(image),

convolutions 16 of 8 x 8, 8 x 8, 6 x 6 (stride 2) and 5 x 5, fully connected 4096 and 2048, dropout one half. The loss
is the sum over the AUs (`stl` with `au_reduction: sum`); the network sees 170 of 200 pixels.
With region convolutions of zero it is the authors' ConvNet; with one cell R is a pre-activation residual block.
Differs from the paper in: their BatchNorm layers use the statistics of the batch also in use, ours running ones;
weights start by He's rule on colours of unit scale, not N(0, 0.01) on colours of 0 to 255, biases at 0; one mean colour
is subtracted, not a mean image; no balanced sampling.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from metafacs.models.own import Cells, backbone, flat_size, hidden_layers, start


class RegionLayer(nn.Module):
    """ReLU(x + what each cell of a grid makes of x)."""

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.cells = Cells(channels, channels, grid)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S), unchanged in shape."""
        return (x + self.cells(x)).relu()


@backbone("drml")
class DRML(nn.Module):
    """DRML without its last layer.

    Args:
        img_size: S, side of the images, pixels.
        kernels: sides of the five convolutions; the fourth has stride 2.
        width: channels of the first; the others have half of it.
        grid: cells a side of the region layer; must divide S - kernels[0] + 1.
        hidden: sizes of the fully connected layers.
    """

    def __init__(
        self,
        img_size: int = 170,
        kernels: Sequence[int] = (11, 8, 8, 6, 5),
        width: int = 32,
        grid: int = 8,
        hidden: Sequence[int] = (4096, 2048),
    ) -> None:
        super().__init__()
        half = width // 2
        shapes = zip((width, half, half, half), kernels[1:], (1, 1, 2, 1), strict=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernels[0]),
            RegionLayer(width, grid),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(5, 1e-4, 0.75),
            *(layer for before, k, stride in shapes for layer in (nn.Conv2d(before, half, k, stride), nn.ReLU())),
        )
        self.classifier = hidden_layers(flat_size(self.features, img_size), tuple(hidden))
        self.num_features = hidden[-1]
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, num_features)."""
        return self.classifier(self.features(images))
