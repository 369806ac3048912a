"""ROI: a network of its own for each region around AU centres, of single frames.

Paper: Li, Abtahi & Zhu, Action Unit Detection with Region Adaptation, Multi-labeling Learning and Optimal Temporal
Fusing, CVPR 2017, the network of single frames. VGG-16 up to its twelfth convolution; of its map 3 x 3 cells are cut
around twenty centres, placed by landmarks, each made twice as large, sent through a convolution (512) and a layer of
150 of its own; 2048 join them. The loss is the bounded cross-entropy `regions.ace_losses`.
Differs from the paper in: layers are known from others' code and from the same authors' EAC-Net, their own is not
public; the LSTM over 24 frames is left out, which another row of that paper has.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.regions import RegionMethod, RegionOptions
from metafacs.models.roi import ROINetwork


@dataclass(frozen=True)
class ROIOptions(RegionOptions):
    """Options of `ROI`."""

    hidden: int = 2048
    """of the layer that joins the regions."""


@METHODS.register("roi")
class ROI(RegionMethod):
    """STL on a network with a branch for each of twenty regions, on timm's VGG-16; with landmarks."""

    Options: ClassVar[type[AUOptions]] = ROIOptions
    needs: ClassVar[str | None] = "vgg16"

    def __init__(self, setup: Setup, options: ROIOptions = ROIOptions()) -> None:
        network = ROINetwork(setup.network, setup.facts.mean_shape, options.units, options.hidden)
        super().__init__(replace(setup, network=network), options)
