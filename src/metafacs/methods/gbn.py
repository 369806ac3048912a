"""gBN: eight AUs as one variable, taught by expressions through generic knowledge.

Paper: Cui, Song, Wang & Ji, Knowledge Augmented Deep Neural Networks for Joint Facial Expression and Action Unit
Recognition, NeurIPS 2020, after the authors' code. z is a configuration of eight AUs (`gbn_knowledge`), s(z) its score,
p(z | x) the softmax of s; y an expression, K(z | y) the knowledge.

    AU image           logsumexp_z s - logsumexp of s over the z that agree with the known labels
    expression image   CE(y) of two expression heads: one on the feature (p_1), one on p(z | x) (p_2)
                       + knowledge * CE(K(. | y), p(. | x)) + consistency * [CE(q, p_1) + sum_y q(y) CE(K(. | y), p)]

q is the mean of p_1 and p_2, each weighted by the other's entropy. AUs outside the eight have ordinary logits; the
weights of the two streams are MTL's. With scores that are sums over AUs it is STL; a table that factorises is a
soft label for each AU; the AU logits are those of exact marginals.
Differs from the paper in: there each image has both labels, here AU and expression images are two datasets; three
networks of the paper are three heads on one backbone; q is that of the step, not of an epoch; the paper's first phase
sees no AU label (`au_labels: false`); its prediction is the most probable configuration; the table is ours. 57.0, which
the MAL paper prints, is of these eight AUs, not of its own twelve.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from metafacs.facs import au_code
from metafacs.methods.base import METHODS, AUOptions, Batch, Setup
from metafacs.methods.gbn_knowledge import AUS, knowledge_of
from metafacs.methods.lookahead import Call
from metafacs.methods.losses import JointForward, expression_losses
from metafacs.methods.mtl import MTL, MTLOptions
from metafacs.models.joint import JointHead, JointNetwork


@dataclass(frozen=True)
class GBNOptions(MTLOptions):
    """Options of `GBN`."""

    knowledge: float = 1.0
    """weight of what an expression says of the AUs."""
    consistency: float = 0.001
    """weight of what both expression heads together say, of expressions and of AUs."""
    au_labels: bool = True
    """whether AU labels are learned from, or expressions and knowledge alone."""


@METHODS.register("gbn")
class GBN(MTL):
    """MTL's steps with AUs as one variable, and knowledge of what expressions say of it."""

    Options: ClassVar[type[AUOptions]] = GBNOptions

    def __init__(self, setup: Setup, options: GBNOptions = GBNOptions()) -> None:
        facts = setup.facts
        joint = [facts.aus.index(name) for code in AUS for name in facts.aus if au_code(name) == code]
        network = JointNetwork(setup.network, joint)
        super().__init__(replace(setup, network=network), options)
        table = knowledge_of([facts.aus[column] for column in joint], facts.expressions)
        self.joint = _JointLosses(replace(setup, network=network), options, table.to(network.expression_head.weight))


class _JointLosses(JointForward):
    """Both streams' pass, with gBN's losses."""

    def __init__(self, setup: Setup, options: GBNOptions, table: Tensor) -> None:
        super().__init__(setup, options)
        self.options, self.table = options, table

    def through(self, primary: Batch, auxiliary: Batch, network: Call) -> tuple[tuple[Any, Any], Tensor]:
        """See `JointForward`."""
        assert isinstance(self.network, JointNetwork)
        outputs, _ = super().through(primary, auxiliary, network)
        head = self.network.au_head
        with torch.autocast(self.table.device.type, enabled=False):
            au = joint_losses(head, outputs[0].feature, outputs[0].au_logits, primary.labels, self.au_reduction)
            log_p = torch.log_softmax(head.scores(outputs[1].feature), 1)
            image = outputs[1].expression_logits
            from_aus = self.network.from_aus(log_p.detach().exp())
            q = agreed(torch.softmax(image.detach(), 1), torch.softmax(from_aus.detach(), 1))
            known = -log_p @ self.table.T  # (B2, E): CE of each expression's row
            expression = expression_losses(image, auxiliary.labels) + expression_losses(from_aus, auxiliary.labels)
            expression = expression + self.options.knowledge * known.gather(1, auxiliary.labels[:, None]).squeeze(1)
            both = F.cross_entropy(image, q, reduction="none") + (q * known).sum(1)
        expression = expression + self.options.consistency * both
        return outputs, torch.cat([au * self.options.au_labels, self.expression_scale * expression])


def joint_losses(head: JointHead, feature: Tensor, logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """(N,): minus the log-likelihood of the known labels, of the AUs with joint scores and of the others.

    Args:
        head: the joint head.
        feature: (N, F).
        logits: (N, A), what the head makes of it.
        labels: (N, A), NaN not labelled.
        reduction: "mean" divides by the number of known labels.
    """
    scores, joint = head.scores(feature), labels[:, head.joint]
    unlike = (joint[:, None] != head.configurations) & ~joint.isnan()[:, None]
    losses = scores.logsumexp(1) - scores.masked_fill(unlike.any(2), -torch.inf).logsumexp(1)
    known = ~labels[:, head.others].isnan()
    each = F.binary_cross_entropy_with_logits(
        logits[:, head.others], labels[:, head.others].nan_to_num(0.0), reduction="none"
    )
    losses = losses + torch.where(known, each, 0.0).sum(1)
    return losses if reduction == "sum" else losses / (~labels.isnan()).sum(1).clamp(min=1)


def agreed(first: Tensor, second: Tensor) -> Tensor:
    """(N, E): the mean of two distributions, each weighted by the entropy of the other."""
    entropies = [-(p * p.clamp(min=1e-12).log()).sum(1, keepdim=True) + 1e-12 for p in (first, second)]
    return (entropies[1] * first + entropies[0] * second) / (entropies[0] + entropies[1])
