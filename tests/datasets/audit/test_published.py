from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metafacs.datasets.audit.labels import rates
from metafacs.datasets.audit.material import DIFFERS, NOTE, Material
from metafacs.datasets.audit.published import check_frames, check_people, fold_names, matches
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA
from metafacs.datasets.protocols import Protocol
from metafacs.facs import AU_SETS, au_column
from tests.datasets.audit.small import face_lost, gather, people_of, rows_of

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
    counts = dict(BP4D.published.frames[source])
    other = {fold: count + (50 if exact == "prepared" else -50) for fold, count in counts.items()}
    listed, prepared = (counts, other) if exact == "listed" else (other, counts)
    material = with_counts(bp4d, listed, prepared)
    assert matches(material)[0].source == source and matches(material)[0].exact == exact
    (finding,) = check_frames(material)
    assert finding.level == NOTE and f"exactly those of {source}" in finding.text
    assert ("labelled frames" if exact == "listed" else "faces") in finding.text


def test_one_frame_too_few_is_nearly(bp4d: Material) -> None:
    counts = {**BP4D.published.frames["JAA-Net"], "P2": 50165}
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


def test_folds_are_named_as_elsewhere() -> None:
    told = fold_names(DISFA.published)
    assert "P3 is called fold1 in ME-GraphAU, MDHR, AU-Net, part3 in JAA-Net, labels/2 in FG-Net" in told
    assert fold_names(Protocol()) == ""


def test_nothing_is_compared_without_a_protocol(tmp_path: Path) -> None:
    material = gather(tmp_path / "out", rows_of("bp4d", 2), protocol="", aus=AUS)
    assert matches(material) == [] and check_frames(material) == [] and check_people(material) == []
    assert rates(material)["published"].isna().all()
