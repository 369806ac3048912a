"""Tables: the numbers and marks they print, in every form."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from metafacs.evaluation.comparison import AVERAGE, Comparison, compare
from metafacs.evaluation.tables import FLOOR_TITLE, PAPER_NOTE, tables, to_csv, to_latex, to_markdown, to_text
from tests.evaluation.runs import write_run


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    return compare(
        [
            write_run(tmp_path, method, fold, seed, skill=skill)
            for method, skill in (("stl", 0.3), ("mtl", 1.0), ("mal", 2.0))
            for seed in (0, 1)
            for fold in ("P1", "P2")
        ]
    )


def test_text_prints_the_scores_in_percent_with_marks(comparison: Comparison) -> None:
    text = to_text(tables(comparison))
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    means, deviations = comparison.means() * 100, comparison.deviations() * 100
    first = text.splitlines()[2:]
    assert first[0].split() == ["Method", "AU1", "AU4", "AU12", "Avg.", "AUC", "Acc.", "seeds", "runs"]
    mal = next(line for line in first if line.startswith("MAL"))
    assert f"{means.loc['mal', AVERAGE]:.1f} ± {deviations.loc['mal', AVERAGE]:.1f}*" in mal
    mtl = next(line for line in first if line.startswith("MTL"))
    assert f"{means.loc['mtl', AVERAGE]:.1f} ± {deviations.loc['mtl', AVERAGE]:.1f}+" in mtl
    stl = next(line for line in first if line.startswith("STL"))
    assert "*" not in stl
    assert lines[FLOOR_TITLE.split()[0]].split()[2] == f"{comparison.floor().iloc[0] * 100:.1f}"


def test_columns_of_the_text_are_aligned(comparison: Comparison) -> None:
    text = to_text(tables(comparison)[:1]).splitlines()
    rows = [line for line in text if line.startswith(("Method", "STL", "MTL", "MAL"))]
    assert len({len(row) for row in rows}) == 1


def test_spread_prints_the_deviation_of_every_au(comparison: Comparison) -> None:
    mal = next(line for line in to_text(tables(comparison, spread=True)).splitlines() if line.startswith("MAL"))
    assert mal.count("±") == 4
    plain = next(line for line in to_text(tables(comparison)).splitlines() if line.startswith("MAL"))
    assert plain.count("±") == 1


def test_differences_are_signed_and_name_the_reference(comparison: Comparison) -> None:
    table = tables(comparison)[1]
    assert "Difference to STL" in table.title
    found = comparison.differences().loc[("mal", AVERAGE)] * 100
    row = dict(zip(table.header, table.rows[1], strict=True))
    assert row["Avg."] == f"{found['mean']:+.1f}"
    assert row["95 % CI"] == f"{found['low']:+.1f} to {found['high']:+.1f}".replace("-", "−")
    assert row["pairs"] == "4"


def test_rows_that_print_the_same_are_marked_the_same(tmp_path: Path) -> None:
    probabilities = np.random.default_rng(0).random((60, 3))
    runs = [write_run(tmp_path, name, probabilities=probabilities) for name in ("stl", "mal")]
    runs.append(write_run(tmp_path, "mtl", probabilities=np.zeros((60, 3))))
    marks = tables(compare(runs))[0].marks
    assert marks[0, 4] == marks[1, 4] == "best"
    assert marks[2, 4] == "second"


def test_one_method_is_neither_best_nor_compared(tmp_path: Path) -> None:
    found = tables(compare([write_run(tmp_path)]))
    assert len(found) == 1
    assert found[0].marks == {}
    assert any("one seed" in note for note in found[0].notes)


def test_warnings_are_printed(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "stl", seed=seed) for seed in (0, 1)] + [write_run(tmp_path, "mal")]
    for form in (to_text, to_markdown, to_latex):
        assert "MAL has no run on P1 seed 1" in form(tables(compare(runs)))


def test_markdown_marks_and_shapes(comparison: Comparison) -> None:
    lines = [line for line in to_markdown(tables(comparison)[:1]).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3 + 1
    assert {line.count("|") for line in lines} == {10}
    assert "**" in lines[4]
    assert "<u>" in lines[3]


def test_latex_has_the_form_of_the_papers_tables(comparison: Comparison) -> None:
    latex = to_latex(tables(comparison, "bp4d"))
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert rows[0] == r"Method & AU1 & AU4 & AU12 & Avg. & AUC & Acc. & seeds & runs \\"
    assert rows[3].startswith(r"MAL & \textbf{")
    assert r"\underline{" in rows[2]
    assert {row.count("&") for row in rows[:5]} == {8}
    assert latex.count("{") == latex.count("}")
    assert not set("†‡±×−–") & set(latex)


def test_latex_escapes_names(tmp_path: Path) -> None:
    latex = to_latex(tables(compare([write_run(tmp_path, label="50% & a_b")])))
    assert r"50\% \& a\_b & " in latex


def test_best_threshold_stands_apart_and_says_what_it_is(comparison: Comparison) -> None:
    assert "best threshold" not in to_text(tables(comparison))
    table = tables(comparison, best_threshold=True)[-1]
    assert "chosen on the test labels" in table.title
    assert "not a result" in table.notes[0]
    value = comparison.means("f1_at_best_threshold").loc["mal", AVERAGE] * 100
    assert table.rows[2][-1] == f"{value:.1f}"


def test_paper_rows_are_marked_and_set_apart(comparison: Comparison) -> None:
    table = tables(comparison, "disfa")[-1]
    assert PAPER_NOTE in table.title
    rows = {row[0]: row for row in table.rows}
    assert rows["EAC-Net†"][-1] == "48.5‡"
    assert rows["MAL"][-1] == "58.0"
    assert any("EAC-Net 48.5 (57.41)" in note for note in table.notes)
    assert any("copied by the paper" in note for note in table.notes)


def test_csv_holds_every_statistic(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison, "disfa"))))

    def find(**wanted: str) -> dict[str, str]:
        (found,) = [row for row in rows if wanted.items() <= row.items()]
        return found

    mean = find(method="mal", metric="f1", statistic="mean", source="measured")
    assert float(mean["AU04"]) == pytest.approx(comparison.means().loc["mal", "AU04"] * 100, abs=1e-4)
    assert (mean["seeds"], mean["cells"]) == ("2", "4")
    low = find(method="mal", metric="auc", statistic="difference low")
    assert float(low["average"]) == pytest.approx(
        comparison.differences("auc").loc[("mal", AVERAGE), "low"] * 100, abs=1e-4
    )
    assert find(method="mal", metric="f1", statistic="difference pairs")["average"] == "4"
    assert float(find(source="floor")["average"]) == pytest.approx(comparison.floor()[AVERAGE] * 100, abs=1e-4)
    assert find(source="paper", method="MAL")["AU26"] == "52.6000"
    assert find(source="paper, quoted", method="DRML")["average"] == "26.7000"
