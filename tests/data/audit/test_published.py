from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metafacs.data.audit import published
from metafacs.data.audit.finding import CHECK, DIFFERS, NOTE
from metafacs.data.audit.listed import Listed
from metafacs.data.audit.material import Material
from metafacs.data.audit.published import (
    check_expressions,
    check_frames,
    check_people,
    check_rates,
    fold_names,
    matches,
    rates,
)
from metafacs.data.protocols import BASE_RATES, FRAMES_PER_PART, RAFDB_COUNTS
from metafacs.facs import AU_SETS, au_column
from tests.data.audit.small import face_lost, gather, people_of, rows_of

AUS = [au_column(au) for au in AU_SETS["bp4d"]]


def with_counts(material: Material, listed: dict[str, int], prepared: dict[str, int]) -> Material:
    """The same dataset as if it had so many rows."""
    assert material.listed
    rows = pd.DataFrame({"fold": [fold for fold, count in prepared.items() for _ in range(count)]})
    return replace(material, rows=rows, listed=replace(material.listed, folds=listed, rows=sum(listed.values())))


@pytest.fixture(scope="module")
def bp4d(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(tmp_path_factory.mktemp("bp4d") / "out", rows_of("bp4d", frames=2))


@pytest.mark.parametrize("source", ["ME-GraphAU", "JAA-Net", "FG-Net"])
@pytest.mark.parametrize("exact", ["listed", "prepared"])
def test_every_source_is_recognised_by_labelled_frames_or_faces(source: str, exact: str, bp4d: Material) -> None:
    counts = dict(FRAMES_PER_PART["bp4d"][source])
    other = {fold: count + (50 if exact == "prepared" else -50) for fold, count in counts.items()}
    listed, prepared = (counts, other) if exact == "listed" else (other, counts)
    material = with_counts(bp4d, listed, prepared)
    assert matches(material)[0].source == source and matches(material)[0].exact == exact
    (finding,) = check_frames(material)
    assert finding.level == NOTE and f"exactly those of {source}" in finding.text
    assert ("labelled frames" if exact == "listed" else "faces") in finding.text


def test_one_frame_too_few_is_nearly(bp4d: Material) -> None:
    counts = {**FRAMES_PER_PART["bp4d"]["JAA-Net"], "P2": 50165}
    (finding,) = check_frames(with_counts(bp4d, counts, counts))
    assert finding.level == DIFFERS and "nearly those of JAA-Net, 1 frames away" in finding.text
    assert "P2 50,165 labelled, 50,165 faces (50,166 published)" in finding.text and finding.action


def test_a_third_of_the_frames_is_nothing_known(bp4d: Material) -> None:
    counts = {"P1": 50631}
    (finding,) = check_frames(with_counts(bp4d, counts, counts))
    assert finding.level == DIFFERS and "no known source" in finding.text and "P3 0 labelled" in finding.text


def test_totals_where_folds_are_not_published(tmp_path: Path) -> None:
    material = gather(tmp_path / "out", rows_of("bp4d", 1), protocol="gft", aus=AUS)
    assert material.listed
    whole = replace(material, listed=replace(material.listed, rows=172_800))
    assert [one.level for one in check_frames(whole)] == [NOTE]
    (finding,) = check_frames(replace(material, listed=replace(material.listed, rows=172_799)))
    assert finding.level == DIFFERS and "172,799 labelled rows, 172,800 are published (-1)" in finding.text


def test_people(tmp_path: Path, bp4d: Material) -> None:
    assert check_people(bp4d) == []
    some = [name for name in people_of("bp4d") if name not in ("F001", "M018")]
    rows = rows_of("bp4d", 2, [*some, "F099"])
    rows = [row for row in rows if row["subject"] != "F002"]
    next(row for row in rows if row["subject"] == "F003")["fold"] = "P1"
    found = check_people(gather(tmp_path / "out", rows, lost=[face_lost("F002"), face_lost("F002", 98)]))
    assert {one.level for one in found} == {DIFFERS}
    told = [one.text for one in found]
    assert told[0] == "40 people, 41 are published"
    assert set(told[1].removeprefix("missing: ").split(", ")) == {"F001", "M018"}
    assert told[2] == "without a single face: F002"
    assert told[3] == "not among the published people: F099"
    assert "F003 in P1, not P2" in told[4]


@pytest.mark.parametrize("protocol", ["bp4d", "disfa"])
def test_base_rates_are_flagged_beyond_two_points(protocol: str, tmp_path: Path) -> None:
    columns = {au_column(au): rate for au, rate in BASE_RATES[protocol].items()}
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
        return replace(listed, expressions={fold: dict(counts) for fold, counts in RAFDB_COUNTS.items()})

    assert [one.level for one in check_expressions(gather(tmp_path / "a", rows, protocol="rafdb", change=real))] == [
        NOTE
    ]
    (finding,) = check_expressions(gather(tmp_path / "b", rows, protocol="rafdb"))
    assert finding.level == DIFFERS and "test fear 41 (74 published)" in finding.text
    assert check_expressions(gather(tmp_path / "c", rows, protocol="")) == []


def test_folds_are_named_as_elsewhere() -> None:
    told = fold_names("disfa")
    assert "P3 is called fold1 in ME-GraphAU, MDHR, AU-Net, part3 in JAA-Net, labels/2 in FG-Net" in told
    assert fold_names("gft") == "" == fold_names("")


def test_nothing_is_compared_without_a_protocol(tmp_path: Path) -> None:
    material = gather(tmp_path / "out", rows_of("bp4d", 2), protocol="", aus=AUS)
    assert matches(material) == [] and check_frames(material) == [] and check_people(material) == []
    assert published.rates(material)["published"].isna().all()
