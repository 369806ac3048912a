"""gBN: its knowledge meets every constraint, and its losses are others' in the limit."""

import math

import pytest
import torch
from torch import Tensor

from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from metafacs.methods import Facts, Setup
from metafacs.methods.gbn import GBN, GBNOptions, agreed, joint_losses
from metafacs.methods.gbn_knowledge import AUS, BELOW_HALF, EQUAL, LIKELY, MARGIN, gaps, knowledge_of, knowledge_table
from metafacs.methods.losses import au_losses
from metafacs.models.joint import JointHead, configurations
from tests.methods.networks import batches, tiny_network

NAMES = ("AU12", "AU01", "AU24", "AU06", "AU02")
"""Three that share scores, in another order than the table's, and two others around them would hide no mistake."""
JOINT = [1, 4, 3, 0]
NAN = math.nan


def build(**options: float) -> GBN:
    return GBN(
        Setup(tiny_network(), lambda p: torch.optim.SGD(p, 0.05), facts=Facts(NAMES, EXPRESSIONS)),
        GBNOptions(**options),  # type: ignore[arg-type]
    )


def additive(head: JointHead, rows: Tensor) -> None:
    """Makes the scores sums over AUs, each with the weights of its row (k, F)."""
    head.weight.data[: head.size] = configurations(len(rows)).to(rows.dtype) @ rows
    head.bias.data[: head.size] = 0


def test_the_knowledge_meets_every_constraint() -> None:
    table = knowledge_table()
    met, missed = gaps(table)
    assert len(met) == 70 and met.min() > 0.9 * MARGIN and missed.abs().max() < 1e-3
    assert (table > 0).all() and torch.allclose(table.sum(1), torch.ones(6).double())
    single = table @ configurations(8).double()
    for name, row in zip(LIKELY, single, strict=True):
        of = dict(zip(AUS, row.tolist(), strict=True))
        assert all(of[au] > 0.7 for au in LIKELY[name]) and all(of[au] < 0.5 for au in BELOW_HALF[name])
        assert all(abs(of[au] - value) < 1e-3 for au, value in EQUAL.get(name, {}).items())


def test_knowledge_of_some_aus_is_summed_over_the_others() -> None:
    table = knowledge_of(["AU01", "AU12"], EXPRESSIONS)
    whole, z = knowledge_table(), configurations(8)
    happiness = [whole[0][(z[:, 0] == i) & (z[:, 5] == j)].sum() for i in (0, 1) for j in (0, 1)]
    torch.testing.assert_close(table[EXPRESSIONS.index("happiness")], torch.stack(happiness))
    assert table[EXPRESSIONS.index("neutral")].eq(0).all()


def test_logits_are_those_of_exact_marginals() -> None:
    torch.manual_seed(0)
    head = JointHead(6, JOINT, 5).double()
    feature = torch.randn(3, 6).double()
    p = torch.softmax(head.scores(feature), 1)
    marginals = p @ head.configurations.double()
    torch.testing.assert_close(torch.sigmoid(head(feature))[:, JOINT], marginals)


def test_scores_that_are_sums_are_single_task_learning() -> None:
    torch.manual_seed(0)
    head, rows = JointHead(6, JOINT, 5).double(), torch.randn(4, 6).double()
    additive(head, rows)
    feature, labels = torch.randn(8, 6).double(), batches(8, masked=0.3)["primary"].labels
    logits = head(feature)
    torch.testing.assert_close(logits[:, JOINT], feature @ rows.T, atol=1e-10, rtol=0)
    for reduction in ("mean", "sum"):
        found = joint_losses(head, feature, logits, labels, reduction)
        torch.testing.assert_close(found, au_losses(logits, labels, reduction), atol=1e-10, rtol=0)
    unknown = torch.full_like(labels, NAN)
    assert joint_losses(head, feature, logits, unknown).abs().max() == 0


def test_knowledge_that_factorises_is_a_soft_label_of_each_au() -> None:
    torch.manual_seed(0)
    head, rows, soft = JointHead(6, JOINT, 5).double(), torch.randn(4, 6).double(), torch.rand(4).double()
    additive(head, rows)
    z, feature = head.configurations.double(), torch.randn(3, 6).double()
    row = (z * soft + (1 - z) * (1 - soft)).prod(1)
    entropy = -torch.log_softmax(head.scores(feature), 1) @ row
    logits = head(feature)[:, JOINT]
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft.expand(3, 4), reduction="none")
    torch.testing.assert_close(entropy, each.sum(1))


def test_the_surer_head_counts_more() -> None:
    sure, unsure = torch.tensor([[0.98, 0.01, 0.01]]), torch.tensor([[0.3, 0.4, 0.3]])
    q = agreed(sure, unsure)
    torch.testing.assert_close(q.sum(1), torch.ones(1))
    assert (q - sure).abs().max() < (q - unsure).abs().max()


def test_knowledge_alone_moves_the_au_head() -> None:
    """Without AU labels; and without knowledge expressions do not move it."""
    for options, moves in (
        ({"au_labels": False}, True),
        ({"au_labels": False, "knowledge": 0, "consistency": 0}, False),
    ):
        method = build(**options)
        before = method.network.au_head.weight.clone()
        method.training_step({name: batch for name, batch in batches().items() if name != "meta"})  # type: ignore[misc]
        assert torch.equal(before, method.network.au_head.weight) != moves


def test_the_expression_scale_is_that_of_all_its_expression_losses() -> None:
    batch, method = batches(4, 5), build()
    whole = method.joint(batch["primary"], batch["auxiliary"])[1]
    method.joint.expression_scale = 0.1
    torch.testing.assert_close(
        method.joint(batch["primary"], batch["auxiliary"])[1], whole * torch.tensor([1.0] * 4 + [0.1] * 5)
    )


def test_too_few_aus_are_refused() -> None:
    with pytest.raises(InputError, match=r"--data\.aus"):
        GBN(Setup(tiny_network(), torch.optim.SGD, facts=Facts(("AU01", "AU05", "AU09", "AU10", "AU20"), EXPRESSIONS)))  # type: ignore[arg-type]
