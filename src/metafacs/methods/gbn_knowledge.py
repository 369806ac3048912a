"""What gBN knows before it has seen an image: how probable each configuration of eight AUs is, given an expression.

The constraints are those of its authors' code (Cui, Song, Wang & Ji, NeurIPS 2020), without its orderings of single
probabilities, which contradict its values for sadness. The table is ours: the distributions of the highest entropy that
meet them all, log-linear in single AUs and pairs, in the place of the authors' Bayesian network.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from metafacs.facs import au_code
from metafacs.models.joint import configurations

AUS = (1, 2, 4, 6, 7, 12, 15, 17)
LIKELY = {
    "happiness": (12,), "sadness": (4, 15), "surprise": (1, 2), "fear": (1, 4), "anger": (4, 7), "disgust": (17,)
}  # fmt: skip
"""AUs with a probability above 0.7, by expression; its order is that of the table's rows."""
EQUAL = {
    "happiness": {6: 0.55}, "sadness": {1: 0.60, 6: 0.50, 17: 0.67}, "fear": {2: 0.57}, "anger": {17: 0.52},
    "disgust": {4: 0.31},
}  # fmt: skip
"""AUs whose probability is known."""
ABOVE_HALF = {"sadness": (7,), "fear": (7,)}
BELOW_HALF = {
    "happiness": (1, 2, 4, 15, 17), "sadness": (2, 12), "surprise": (4, 6, 7, 12, 15, 17), "fear": (6, 12, 15, 17),
    "anger": (1, 2, 6, 12, 15), "disgust": (1, 2, 6, 7, 12, 15),
}  # fmt: skip
TOGETHER, APART = ((1, 2), (4, 7), (12, 6), (15, 17)), ((2, 6), (2, 7), (12, 15), (12, 17))
"""Pairs whose first AU is likelier present than absent where the second is, and likelier there than elsewhere, and
pairs of which the opposite holds; over all expressions."""
TOGETHER_IN = {
    "happiness": ((6, 12), (7, 12)), "sadness": ((1, 4), (6, 15), (1, 2), (2, 4)), "anger": ((4, 7),)
}  # fmt: skip
"""The same of one expression."""
EXPRESSIONS = tuple(LIKELY)
MARGIN = 0.01
"""By how much a strict inequality is met."""
_PLACE = {au: k for k, au in enumerate(AUS)}


def gaps(table: Tensor) -> tuple[Tensor, Tensor]:
    """By how much each inequality is met, and each equation missed.

    Args:
        table: (6, 256) probabilities of the configurations for each expression.
    """
    z = configurations(len(AUS)).double()
    single, pair = table @ z, torch.einsum("ez,za,zb->eab", table, z, z)
    rows = list(zip(EXPRESSIONS, single, pair, strict=True))
    met = [m[_PLACE[au]] - 0.7 for name, m, _ in rows for au in LIKELY[name]]
    met += [m[_PLACE[au]] - 0.5 for name, m, _ in rows for au in ABOVE_HALF.get(name, ())]
    met += [0.5 - m[_PLACE[au]] for name, m, _ in rows for au in BELOW_HALF[name]]

    def dependence(m: Tensor, both: Tensor, pairs: Sequence[tuple[int, int]]) -> list[Tensor]:
        places = [(_PLACE[i], _PLACE[j]) for i, j in pairs]
        return [v for i, j in places for v in (2 * both[i, j] - m[j], both[i, j] - m[i] * m[j])]

    over = single.mean(0), pair.mean(0)
    met += [*dependence(*over, TOGETHER), *(-value for value in dependence(*over, APART))]
    met += [value for name, m, both in rows for value in dependence(m, both, TOGETHER_IN.get(name, ()))]
    missed = [m[_PLACE[au]] - value for name, m, _ in rows for au, value in EQUAL.get(name, {}).items()]
    return torch.stack(met), torch.stack(missed)


@cache
def knowledge_table() -> Tensor:
    """(6, 256): p(configuration | expression), in the order of `EXPRESSIONS` and `configurations`, float64."""
    z = configurations(len(AUS)).double()
    first, second = torch.combinations(torch.arange(len(AUS))).unbind(1)
    terms = torch.cat([z, z[:, first] * z[:, second]], 1)
    weights = torch.zeros(len(EXPRESSIONS), terms.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def loss() -> Tensor:
        solver.zero_grad()
        logarithm = torch.log_softmax(weights @ terms.T, 1)
        met, missed = gaps(logarithm.exp())
        penalty = (MARGIN - met).clamp(min=0).square().sum() + missed.square().sum()
        value = (logarithm.exp() * logarithm).sum(1).mean() + 1e4 * penalty
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    return torch.softmax(weights.detach() @ terms.T, 1)


def knowledge_of(aus: Sequence[str], expressions: Sequence[str]) -> Tensor:
    """(E, 2 ** k): the table for those k of its AUs that are named, a row of zeros for other expressions.

    Args:
        aus: names of the AUs, in the table's order.
        expressions: names of the expressions.
    """
    kept = [_PLACE[au_code(au)] for au in aus]
    table = knowledge_table().unflatten(1, (2,) * len(AUS))
    table = table.sum([1 + k for k in range(len(AUS)) if k not in kept]) if len(kept) < len(AUS) else table
    rows = dict(zip(EXPRESSIONS, table.flatten(1), strict=True))
    return torch.stack([rows.get(name, torch.zeros(2 ** len(kept)).double()) for name in expressions])
