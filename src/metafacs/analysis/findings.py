"""A sentence on a figure: what is to be seen in it, and whether it is what the MAL paper says."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from metafacs.analysis.sample_weights import ACTIVE, MethodWeights, dataset_of
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.facs import au_title

EXTREMES = 50
"""Faces of lowest, and of highest, weight that are looked at for who they show; a quarter of few."""
TRAITS = {
    "true_age": ("older", "younger", 0),
    "true_male": ("more masculine (0 to 1)", "more feminine (0 to 1)", 2),
    "true_tone": ("of darker skin (0 to 1)", "of lighter skin (0 to 1)", 2),
}
"""Column of rendered truth -> what a higher and a lower mean say, and decimals of the mean."""
CLEAR = "clear"
"""The cause of images that nothing makes ambiguous."""


def curves(records: Mapping[str, Sequence[pd.DataFrame]]) -> str:
    """On losses and weights over training, from the training lines of the runs of each method."""
    for method, tables in records.items():
        if not all({"weight_auxiliary", "loss_auxiliary"} <= {*table} for table in tables):
            continue
        weight, loss = (_ends(tables, name) for name in ("weight_auxiliary", "loss_auxiliary"))
        same = weight[1] > weight[0] and loss[1] < loss[0]
        paper = "as in the paper's Fig. 3" if same else "in the paper's Fig. 3 it rises while the loss falls"
        changes = "{:.3f} to {:.3f} from the first to the last tenth, their loss from {:.2f} to {:.2f}"
        return f"{method_title(method)}'s weight of FE images goes from {changes.format(*weight, *loss)}: {paper}."
    method, tables = next(iter(records.items()))
    first, last = _ends(tables, "loss_primary")
    return f"{method_title(method)}'s AU loss goes from {first:.2f} to {last:.2f} from the first to the last tenth."


def average(comparison: Comparison) -> str:
    """On the average F1 of the methods."""
    means = comparison.means()[AVERAGE]
    best = str(means.idxmax())
    text = f"{method_title(best)} has the highest average F1, {100 * means[best]:.1f}"
    if len(means) == 1 or "mal" not in means:
        return f"{text}."
    return f"{text}: {'as' if best == 'mal' else 'not as'} in the paper's tables, where MAL has it."


def gains(comparison: Comparison) -> str:
    """On the gains of the other methods over the reference."""
    rows = comparison.differences().drop(index=AVERAGE, level="au")
    counts = [
        f"{method_title(str(method))} gains on {int((own['low'] > 0).sum())} of {len(own)} AUs and loses on "
        f"{int((own['high'] < 0).sum())}"
        for method, own in rows.groupby("method", sort=False)
    ]
    return f"By more than chance, {'; '.join(counts)}."


def per_au(comparison: Comparison) -> str:
    """On the AUs that no method finds better than somebody who finds every AU everywhere."""
    aus = comparison.aus
    below = [au for au in aus if comparison.means()[au].max() <= comparison.floor()[au]]
    listed = f": {', '.join(map(au_title, below))}" if below else ""
    return f"No method passes the floor on {len(below)} of {len(aus)} AUs{listed}."


def consistency(weights: MethodWeights) -> str:
    """On weight against the share of annotators who agree."""
    return _related(weights, "consistency", "the more annotators agree")


def active(weights: MethodWeights) -> str:
    """On weight against the number of active AUs."""
    return _related(weights, ACTIVE, "the more AUs are active")


def dataset(weights: MethodWeights) -> str:
    """On the expression datasets of highest and of lowest weight."""
    return _highest_and_lowest(weights, "dataset")


def cause(weights: MethodWeights) -> str:
    """On the weight of ambiguous images."""
    faces = weights.stream("auxiliary").dropna(subset="cause")
    clear = faces["cause"] == CLEAR
    if clear.all() or not clear.any():
        return "Ambiguous and clear images cannot be compared here."
    groups = faces[~clear]["weight"], faces[clear]["weight"]
    others, mean = (group.mean() for group in groups)
    chance = 1.96 * np.sqrt(sum(group.var() / len(group) for group in groups))
    if not abs(mean - others) > chance:
        paper = "no more apart than chance, where the paper says that they weigh less"
    else:
        paper = "as the paper says" if mean > others else "the paper says that they weigh less"
    return f"Ambiguous images weigh {others:.3f} on average, clear ones {mean:.3f}: {paper}."


def ranked(weights: MethodWeights) -> str:
    """On the expressions of highest and of lowest weight."""
    return _highest_and_lowest(weights, "expression")


def extreme(weights: MethodWeights) -> str:
    """On who the faces of lowest and of highest weight are, by rendered truth; nothing is guessed of real faces."""
    faces = weights.stream("auxiliary")
    try:
        return lean(faces, dataset_of(faces))
    except InputError:  # the figure itself says what is missing
        return ""


def lean(faces: pd.DataFrame, dataset: PreparedDataset) -> str:
    """Whether the faces of lowest and of highest weight are unlike all in age, sex or skin tone.

    A mean leans where it is more than two standard errors from that of all faces. What is known of some faces only is
    compared among those.

    Args:
        faces: rows of `MethodWeights.images`.
        dataset: that they come from.
    """
    faces = faces.sort_values("weight", kind="stable")
    rows = faces["row"].to_numpy(dtype=np.int64)
    traits = {name: words for name, words in TRAITS.items() if name in dataset.table.column_names}
    values = {name: np.asarray(dataset.column(name), np.float64)[rows] for name in traits}
    values = {name: column for name, column in values.items() if not np.isnan(column).all()}
    if not values:
        return "Age, sex and skin tone are not known of these faces, and nothing is guessed."
    said = []
    for which, order in (("lowest", slice(None)), ("highest", slice(None, None, -1))):
        leans, count = [], 0
        for name, column in values.items():
            known = column[order][~np.isnan(column[order])]
            count = min(EXTREMES, max(1, len(known) // 4))
            here, everywhere = known[:count].mean(), known.mean()
            more, less, digits = traits[name]
            if abs(here - everywhere) > 2 * known.std() / np.sqrt(count):
                word = more if here > everywhere else less
                leans.append(f"{word}: mean {here:.{digits}f} against {everywhere:.{digits}f}")
        said.append(f"the {which} {count} are {'; '.join(leans) or 'like all others in age, sex and skin tone'}")
    return f"Of the weights, {', and '.join(said)}."


def _ends(tables: Sequence[pd.DataFrame], name: str) -> tuple[float, float]:
    """Mean over the runs of the first and of the last tenth of a column."""
    columns = [table[name].dropna() for table in tables]
    tenths = [max(1, len(column) // 10) for column in columns]
    first = np.mean([column.iloc[:tenth].mean() for column, tenth in zip(columns, tenths, strict=True)])
    last = np.mean([column.iloc[-tenth:].mean() for column, tenth in zip(columns, tenths, strict=True)])
    return float(first), float(last)


def _highest_and_lowest(weights: MethodWeights, column: str) -> str:
    means = weights.stream("auxiliary").groupby(column, observed=True)["weight"].mean()
    high, low = str(means.idxmax()), str(means.idxmin())
    return f"On average {high} weighs most ({means[high]:.3f}) and {low} least ({means[low]:.3f})."


def _related(weights: MethodWeights, column: str, condition: str) -> str:
    """On a correlation of the weight of FE images, of which the paper says that it is positive."""
    estimate = weights.correlation(column)
    if np.isnan(estimate.value):
        return "The weights of FE images, or what they are compared with, do not differ."
    if np.isnan(estimate.low) or estimate.low <= 0 <= estimate.high:
        return f"FE images do not clearly weigh more, or less, {condition}; the paper says more (Spearman {estimate})."
    if estimate.low > 0:
        return f"FE images weigh more {condition}, as the paper says (Spearman {estimate})."
    return f"FE images weigh less {condition}, the reverse of what the paper says (Spearman {estimate})."
