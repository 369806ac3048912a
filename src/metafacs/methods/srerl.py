"""SRERL (reconstructed): regions of each AU, and messages between AUs that training labels say are related.

Paper: Li, Zhu, Zeng, Wang & Lin, Semantic Relationships Guided Representation Learning for Facial Action Unit
Recognition, AAAI 2019. Neither its code nor its text was to be had: the MAL paper says VGG-19 with 24 branches and a
gated graph neural network; the rest is recalled. Maps of the second, third and fourth group of convolutions are brought
to one size and cut around both centres of each AU, each region into a branch of its own; rounds of messages
(`models.related.GatedGraph`) run along a graph a of the training labels,

    a_ij = 1 if P(i | j) - P(i) > 0.2,   -1 if P(i) - P(i | j) > 0.03,   else 0

and each AU is read from its state before and after them. The loss is the bounded cross-entropy `regions.ace_losses`.
Without messages it is a network of regions with a head for each AU.
Differs from the paper in: what is not known of it. Ours are the thresholds' values, three rounds, the width of a
branch's convolution (three quarters of the fourth group's), that pairs with fewer than ten images of j count 0; no
second loss on the whole face.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.regions import RegionMethod, RegionOptions
from metafacs.models.related import RelatedNetwork

LEAST = 10
"""Images of an AU from which on it says something about another."""


@dataclass(frozen=True)
class SRERLOptions(RegionOptions):
    """Options of `SRERL`."""

    likelier: float = 0.2
    """by how much an AU must raise another's probability to be related to it."""
    rarer: float = 0.03
    """by how much it must lower it to be related the other way."""
    rounds: int = 3
    """of messages."""


@METHODS.register("srerl")
class SRERL(RegionMethod):
    """STL on regions of each AU and messages between AUs, on timm's VGG-19; with landmarks; reconstructed."""

    Options: ClassVar[type[AUOptions]] = SRERLOptions

    def __init__(self, setup: Setup, options: SRERLOptions = SRERLOptions()) -> None:
        facts = setup.facts
        graph = relations(facts.labels, options.likelier, options.rarer)
        network = RelatedNetwork(setup.network, facts.aus, facts.mean_shape, graph, options.units, options.rounds)
        super().__init__(replace(setup, network=network), options)


def relations(labels: Tensor, likelier: float, rarer: float) -> Tensor:
    """(A, A): 1 where the AU of the column makes that of the row likelier, -1 where less likely, 0 else.

    Args:
        labels: (N, A), NaN not labelled.
        likelier: least rise of the probability.
        rarer: least fall.
    """
    present, known = (labels == 1).float(), (~labels.isnan()).float()
    rates = present.sum(0) / known.sum(0).clamp(min=1)
    given = known.T @ present
    rise = present.T @ present / given.clamp(min=1) - rates[:, None]
    graph = (rise > likelier).float() - (rise < -rarer).float()
    return torch.where(given < LEAST, 0.0, graph).fill_diagonal_(0.0)
