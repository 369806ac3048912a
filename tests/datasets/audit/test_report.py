import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metafacs.datasets import DATASETS
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE
from metafacs.datasets.audit.report import JSON_FILE, PAGE_FILE, TEXT_FILE, audit, cell, write_audit
from metafacs.datasets.base import with_folds
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.protocols import Protocol, Rule
from metafacs.datasets.table import Table
from metafacs.facs import EXPRESSIONS
from tests.builders import make_prepared
from tests.datasets.audit.small import Row, face_lost, people_of, rows_of, store
from tests.pages import Document

ALIKE = dict.fromkeys((1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24), 0.5)


@pytest.fixture
def own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published counts that six frames of everybody in BP4D fulfil."""
    counts: Mapping[str, Mapping[str, int]] = {
        "First": {"P1": 84, "P2": 84, "P3": 79},
        "Second": {"P1": 84, "P2": 84, "P3": 78},
    }
    monkeypatch.setattr(BP4D, "published", replace(BP4D.published, frames=counts, base_rates=ALIKE))


@pytest.mark.usefixtures("own_counts")
def test_what_matches_is_said_to_match(tmp_path: Path) -> None:
    found, _ = audit(store(tmp_path / "out", rows_of("bp4d", 6)))
    assert found.matches is True and found.of(DIFFERS) == []
    assert found.verdict == "matches the published protocol (bp4d as Second counts it)"
    folds = found.tables["folds"]
    assert folds.loc["P3"].tolist() == [13, 78, 78, 78, 79] and folds.columns[3] == "Second"


@pytest.mark.usefixtures("own_counts")
def test_a_lost_face_is_part_of_the_verdict(tmp_path: Path) -> None:
    rows = [row for row in rows_of("bp4d", 6) if row["subject"] != "F007" or row["frame"] != 3]
    found, _ = audit(store(tmp_path / "out", rows, lost=[face_lost("F007", 3)]))
    assert found.matches is True
    assert "as Second counts it); 1 labelled pictures without a usable face are left out" in found.verdict


@pytest.mark.usefixtures("own_counts")
def test_what_differs_is_listed_with_what_to_do(tmp_path: Path) -> None:
    rows = [row for row in rows_of("bp4d", 6) if row["subject"] != "F007"]
    rows[7]["image"] = rows[8]["image"]
    found, _ = audit(store(tmp_path / "out", rows))
    assert found.matches is False
    assert found.verdict.startswith("differs from the published protocol (nearest source: Second) in: frames, people;")
    assert all(one.action for one in found.findings if one.level in (DIFFERS, CHECK))
    levels = [one.level for one in found.findings]
    assert levels == sorted(levels, key=["differs", "check", "note"].index)
    text = found.to_text()
    assert text.index("VERDICT") < text.index("Differs (") < text.index("To check (") < text.index("Noted (")
    assert "people: missing: F007" in text and "P1 is called fold3 in ME-GraphAU" in text
    assert "Faces are personal data" in text and "licence: for research, by signed agreement" in text
    assert max(map(len, text.splitlines())) <= 118


def expression_rows() -> list[Row]:
    rows = rows_of("bp4d", 2, people_of("bp4d")[:7])
    kept = [{name: value for name, value in row.items() if not name.startswith("AU")} for row in rows]
    return [{**row, "expression": EXPRESSIONS[k % 7], "subject": f"face{k}"} for k, row in enumerate(kept)]


def test_without_published_counts_there_is_no_such_verdict(tmp_path: Path) -> None:
    found, _ = audit(store(tmp_path / "out", expression_rows(), protocol=""))
    assert found.matches is None
    assert found.verdict == "no published counts to compare frames with; no fault was found"
    assert set(found.tables) == {"folds", "expressions"} and found.folds_elsewhere == ""


def test_a_rendered_dataset_has_no_history(tmp_path: Path) -> None:
    make_prepared(tmp_path / "out", subjects=6, frames=20)
    found, _ = audit(tmp_path / "out")
    assert found.matches is None and any(one.topic == "history" for one in found.findings)
    assert found.facts["licence"] == "none needed"


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    rows = rows_of("bp4d", 4)
    rows[0]["sequence"] = "<script>alert('&')</script>"
    write_audit(store(tmp_path / "out", rows, lost=[face_lost("F001")], notes=["<b>bold</b> & off by one?"]))
    page = (tmp_path / "out" / PAGE_FILE).read_text()
    document = Document(page)
    assert sum(source.startswith("data:image/jpeg") for source in document.sources) == 24
    assert "&lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold</b>" not in page
    text = "".join(document.texts)
    for said in ("Verdict:", "Faces are personal data", "citation", "X. Zhang et al.", "licence", "off by one"):
        assert said in text


def test_the_page_of_expressions(tmp_path: Path) -> None:
    write_audit(store(tmp_path / "out", expression_rows(), protocol="rafdb", aus=[]))
    page = (tmp_path / "out" / PAGE_FILE).read_text()
    Document(page)
    assert "Expressions" in page and "Base rates" not in page and "RAF-DB" in page


def test_json_says_the_same(tmp_path: Path) -> None:
    found = write_audit(store(tmp_path / "out", rows_of("bp4d", 2), lost=[face_lost("F001")]))
    read = json.loads((tmp_path / "out" / JSON_FILE).read_text())
    assert read["verdict"] == found.verdict and read["matches"] is False
    assert len(read["findings"]) == len(found.findings)
    assert read["tables"]["subjects"][0] == {
        **{"subject": "F001", "fold": "P1", "faces": 2, "unreadable": 0, "no_face": 1},
        "no_face_percent": pytest.approx(100 / 3),
    }
    assert (tmp_path / "out" / TEXT_FILE).read_text() == found.to_text()


def test_equal_bytes_every_time(tmp_path: Path) -> None:
    folder = store(tmp_path / "out", rows_of("bp4d", 9), lost=[face_lost("F001")])
    write_audit(folder)
    names = (TEXT_FILE, JSON_FILE, PAGE_FILE)
    before = [(folder / name).read_bytes() for name in names]
    code = (
        "from metafacs.datasets.audit.report import write_audit; "
        f"write_audit(__import__('pathlib').Path({str(folder)!r}))"
    )
    source = str(Path(__file__).parents[3] / "src")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": source})
    assert [(folder / name).read_bytes() for name in names] == before
    assert not list(folder.glob(".*partial*"))


def test_an_unreadable_picture_does_not_stop_it(tmp_path: Path) -> None:
    rows = rows_of("bp4d", 12)
    for row in rows[:100]:
        row["image"] = b"no picture" + os.urandom(8)
    found, _ = audit(store(tmp_path / "out", rows))
    assert found.of(DIFFERS)


@pytest.mark.parametrize(
    "value, text",
    [(1234, "1,234"), (np.int64(1234), "1,234"), (1.234, "1.23"), (50631.0, "50,631"), (float("nan"), ""), (None, "")],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_a_dataset_of_ones_own_is_compared_with_its_own_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(BP4D):
        published = Protocol(
            aus=(1, 2),
            folds={"A": ("ann", "bob"), "B": ("cid",)},
            frames={"My paper": {"A": 4, "B": 2}},
            base_rates={1: 0.5, 2: 0.2},
            rules=(Rule("speed", 25, "{value} frames a second", "prepare with --speed 25"),),
        )

    monkeypatch.setitem(DATASETS._entries, "mine", Mine)
    rows = rows_of("mine", 2)
    assert [row["fold"] for row in rows] == ["A", "A", "A", "A", "B", "B"]
    found, _ = audit(store(tmp_path / "out", rows, protocol="mine", options={"speed": 30}))
    assert {(one.topic, one.level) for one in found.findings if one.level != NOTE} == {
        ("base rates", DIFFERS),
        ("speed", DIFFERS),
    }
    assert any("exactly those of My paper: A 4, B 2" in one.text for one in found.findings)
    assert "mine" in with_folds() and Table(protocol="mine").protocol == "mine"
