from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metafacs.datasets import DATASETS, rafdb
from metafacs.datasets.audit.labels import check_expressions, check_rates, rates
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE
from metafacs.datasets.listed import Listed
from metafacs.facs import AU_SETS, au_column
from tests.datasets.audit.small import gather, rows_of


@pytest.mark.parametrize("protocol", ["bp4d", "disfa"])
def test_base_rates_are_flagged_beyond_two_points(protocol: str, tmp_path: Path) -> None:
    columns = {au_column(au): rate for au, rate in DATASETS[protocol].published.base_rates.items()}
    material = gather(tmp_path / "out", rows_of(protocol, 1), protocol=protocol)
    rows = pd.DataFrame({name: [int(k < 1000 * rate) for k in range(1000)] for name, rate in columns.items()})
    assert [one.level for one in check_rates(replace(material, rows=rows.astype("Int8")))] == [NOTE]
    rows["AU12"] = [int(k < 1000 * columns["AU12"] + 19) for k in range(1000)]
    assert [one.level for one in check_rates(replace(material, rows=rows.astype("Int8")))] == [NOTE]
    rows["AU12"] = [int(k < 1000 * columns["AU12"] - 22) for k in range(1000)]
    (finding,) = check_rates(replace(material, rows=rows.astype("Int8")))
    assert finding.level == DIFFERS and finding.text.count("AU") == 1 and "AU12 " in finding.text
    difference = rates(replace(material, rows=rows.astype("Int8")))["difference"]
    assert difference["AU12"] == pytest.approx(-2.2, abs=0.1)


def test_unknown_labels_are_counted_per_au(tmp_path: Path) -> None:
    rows = rows_of("bp4d", 2)
    for row in rows:
        row["AU24"] = None
    rows[0]["AU01"] = None
    found = check_rates(gather(tmp_path / "out", rows))
    assert any(one.level == NOTE and "AU1 1, AU24 82" in one.text for one in found)
    assert any(one.level == CHECK and "no face at all is labelled for AU24" in one.text for one in found)


def test_unusual_rules_of_disfa(tmp_path: Path) -> None:
    aus = [au_column(au) for au in AU_SETS["disfa"] if au != 26]
    rows = [{name: value for name, value in row.items() if name != "AU26"} for row in rows_of("disfa", 1)]
    options = {"present_from": 1, "camera": "right"}
    found = check_rates(gather(tmp_path / "out", rows, protocol="disfa", aus=aus, options=options))
    told = {one.text.split(";")[0]: one.level for one in found}
    assert told["an AU counts as present from intensity 1"] == DIFFERS
    assert told["the right camera"] == CHECK
    assert told["without AU26 of the benchmark's 8 AUs"] == DIFFERS


def test_expressions_of_rafdb(tmp_path: Path) -> None:
    rows = [{**row, "expression": "fear", "fold": "test"} for row in rows_of("bp4d", 1)]
    rows = [{name: value for name, value in row.items() if not name.startswith("AU")} for row in rows]

    def real(listed: Listed) -> Listed:
        return replace(listed, expressions={fold: dict(counts) for fold, counts in rafdb.COUNTS.items()})

    assert [one.level for one in check_expressions(gather(tmp_path / "a", rows, protocol="rafdb", change=real))] == [
        NOTE
    ]
    (finding,) = check_expressions(gather(tmp_path / "b", rows, protocol="rafdb"))
    assert finding.level == DIFFERS and "test fear 41 (74 published)" in finding.text
    assert check_expressions(gather(tmp_path / "c", rows, protocol="")) == []
