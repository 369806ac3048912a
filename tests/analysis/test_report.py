"""The report is one whole document that fetches nothing and says what the tables say."""

import json
from html.parser import HTMLParser
from pathlib import Path

from metafacs.analysis.figures import Gallery, compare_scored, draw_all
from metafacs.analysis.report import report
from metafacs.evaluation.tables import tables
from tests.analysis.test_cautions import study
from tests.evaluation.runs import write_run


class Document(HTMLParser):
    """Checks that every element is closed; keeps links, pictures and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [str(value) for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    comparison = compare_scored(runs)
    found = Document(report(runs, comparison, draw_all(runs, comparison, tmp_path / "figures")))
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in found.sources)
    assert sum(source.startswith("data:") for source in found.sources) == 4
    assert found.tags.isdisjoint({"script", "link", "iframe", "object", "form"})


def test_every_number_of_the_tables_is_there(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    comparison = compare_scored(runs)
    assert comparison is not None and comparison.reference == "stl"
    texts = Document(report(runs, comparison, Gallery())).texts
    for made in tables(comparison, spread=True):
        assert {entry for row in made.rows for entry in row if entry} <= set(texts)
    assert any("Told from STL at 95 %: MAL" in text for text in texts)
    assert "Nothing out of the ordinary was found." in texts


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    label = "<script>alert(1)</script>"
    run = write_run(tmp_path / "a", "mal")
    other = write_run(tmp_path / "b", "mal", seed=1)
    for folder in (run, other):
        (folder / "config.yaml").write_text(json.dumps({"method": "mal", "label": label, "data": {"side": label}}))
    comparison = compare_scored([run, other])
    text = report([run, other], comparison, Gallery(notes=[label]), notes=[label])
    assert label not in text and "&lt;script&gt;" in text and "script" not in Document(text).tags


def test_runs_without_predictions_are_reported_by_their_curves(tmp_path: Path) -> None:
    run = study(tmp_path)[0]
    (run / "predictions.parquet").unlink()
    assert compare_scored([run]) is None
    texts = Document(report([run], None, draw_all([run], None, tmp_path / "figures"))).texts
    assert "Training runs of AU detectors" in texts and "Losses and weights over training" in texts
