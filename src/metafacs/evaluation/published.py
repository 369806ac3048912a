"""F1 x 100 as printed in Tables I-III of the MAL paper (Li and Shan, IEEE TAFFC 2023, arXiv 2105.06620)."""

from importlib.resources import files

import pandas as pd

from metafacs.errors import InputError

PAPER_TABLES = {"bp4d": "Table I", "disfa": "Table II", "gft": "Table III"}
TOLERATED = 0.1  # the paper rounds every number to one digit


def paper_scores(dataset: str) -> pd.DataFrame:
    """The rows of one of the paper's tables, in percent, in the paper's order.

    Args:
        dataset: "bp4d", "disfa" or "gft".

    Returns:
        One row per method (index): the AU columns; `average` as printed; `quoted`, whether the paper copied the row
        from another paper instead of running the method; `row_mean`, the mean of the row's own AUs; and `disagrees`,
        whether the printed average is more than 0.1 away from it. NaN where nothing is printed.

    Raises:
        InputError: the paper has no table of that dataset.

    Example:
        >>> paper_scores("bp4d").loc["MAL", "average"].item()
        62.2
        >>> rows = paper_scores("disfa")
        >>> list(rows.index[rows["disagrees"]])
        ['DRML', 'EAC-Net', 'OFS-CNN', 'TAE']
    """
    if dataset not in PAPER_TABLES:
        raise InputError(f"the paper has no table of '{dataset}'; it has {', '.join(PAPER_TABLES)}")
    with files("metafacs.evaluation").joinpath("paper", f"paper_f1_{dataset}.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, index_col="method")
    row_mean = rows[paper_aus(rows)].mean(axis=1)
    disagrees = (row_mean - rows["average"]).abs() > TOLERATED + 1e-9
    return rows.assign(quoted=rows["quoted"].astype(bool), row_mean=row_mean, disagrees=disagrees)


def paper_aus(rows: pd.DataFrame) -> list[str]:
    """The AU columns of a table of `paper_scores`."""
    return [str(column) for column in rows.columns if str(column).startswith("AU")]
