"""AlexNet as the authors of DRML trained it as their rival, on two groups of channels.

Paper: Girard et al., Sayette Group Formation Task (GFT) Spontaneous Facial Expression Database, FG 2017, whose AlexNet
the MAL paper quotes. Its details were not to be had; the layers are those of the AlexNet that the same people published
with DRML (Zhao, Chu & Zhang, CVPR 2016): 227 x 227, convolutions 96 (11 x 11, stride 4), 256 (5 x 5), 384, 384, 256
(3 x 3), of which the second, fourth and fifth have two groups; max-pooling after the first, second and fifth, local
response normalisation after the first two poolings; fully connected 4096 and 4096, dropout one half.
Differs from the paper in: whether GFT's AlexNet had groups, an ImageNet start or a network for each AU is not known;
weights start by He's rule on colours of unit scale, not N(0, 0.01) on colours of 0 to 255, biases at 0; one mean colour
is subtracted, not a mean image.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from metafacs.models.own import backbone, flat_size, hidden_layers, start


@backbone("alexnet")
class AlexNet(nn.Module):
    """AlexNet without its classifier.

    Args:
        img_size: S, side of the images, pixels; at least 67.
        width: channels of the first convolution; the others keep their ratio to it.
        hidden: sizes of the fully connected layers.
        groups: of the second, fourth and fifth convolution.
    """

    def __init__(
        self, img_size: int = 227, width: int = 96, hidden: Sequence[int] = (4096, 4096), groups: int = 2
    ) -> None:
        super().__init__()
        a, b, c = width, width * 8 // 3, width * 4
        norm = nn.LocalResponseNorm(5, 1e-4, 0.75)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, a, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2), norm),
            *(nn.Conv2d(a, b, 5, padding=2, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2), norm),
            *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(c, c, 3, padding=1, groups=groups), nn.ReLU()),
            *(nn.Conv2d(c, b, 3, padding=1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.classifier = hidden_layers(flat_size(self.features, img_size), tuple(hidden))
        self.num_features = hidden[-1]
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, num_features)."""
        return self.classifier(self.features(images))
