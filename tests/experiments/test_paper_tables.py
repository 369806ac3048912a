"""The rows of the paper's tables are runs that can be started, and what is printed beside them is the paper's."""

from pathlib import Path

import pytest
import torch

from metafacs.commands.benchmark import benchmark_config, benchmark_parser
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.published import paper_scores
from metafacs.experiments.paper_tables import TABLES, _content, dataset_of, printed, table_variants
from metafacs.facs import AU_SETS, EXPRESSIONS, au_column
from metafacs.methods import METHODS, Facts, Setup
from metafacs.models.network import build_network, check_side
from tests.toy_runs import flags, metafacs


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_a_run_with_a_network_that_takes_its_images(table: str) -> None:
    given = ["--out", "grid", "--data.primary", "au", "--data.auxiliary", "fe", "--table", table]
    full = benchmark_config(benchmark_parser("benchmark"), given)
    small = benchmark_config(benchmark_parser("benchmark"), [*given, "--small"])
    assert full.reference == "STL" and full.table == table
    aus = [au_column(code) for code in AU_SETS[dataset_of(table)]]
    facts = Facts(aus, EXPRESSIONS, torch.rand(20, len(aus)).round(), landmarks=torch.rand(1, 68, 2))
    for one, other in zip(full.variants, small.variants, strict=True):
        assert (one.label, one.method, one.data.aus) == (other.label, other.method, dataset_of(table))
        assert one.data.side > other.data.side and other.network.weights == "scratch"
        network = build_network(other.network.backbone, len(aus), 7, "scratch", other.network.options)
        setup = Setup(network, lambda p: torch.optim.SGD(p, 0.1), facts=facts)
        check_side(METHODS[other.method](setup, other.options).network, other.data.side)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_the_paper_is_there_or_left_out_with_a_reason(table: str) -> None:
    rows = printed(table)
    paper = set(paper_scores(dataset_of(table)).index)
    assert paper <= {row for row, _ in rows.values()}
    assert {name for name, (_, why) in rows.items() if why.startswith("left out")} == set(_content()["left_out"])
    assert len(table_variants(table, True)) == len(rows) - len(_content()["left_out"])


def test_a_table_has_the_papers_numbers_beside_ours(
    au_dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(_content()["tables"], "III", {"paper": "gft", "rows": ["STL", "AlexNet"]})
    run = flags(tmp_path / "grid", au_dataset.folder, None, method=None, loop__steps=2)[1:]
    assert metafacs("benchmark", *run, "--table", "III", "--small", "--folds", "P1", "--seeds", "0") == 0
    printed_text = capsys.readouterr().out
    text = (tmp_path / "grid" / "table.txt").read_text()
    for shown in (printed_text, text):
        (line,) = [line for line in shown.splitlines() if line.startswith("AlexNet") and "not comparable" in line]
        assert line.split()[2] == f"{paper_scores('gft').loc['AlexNet', 'average']:.1f}"
    assert "processor ms / STL" in printed_text
