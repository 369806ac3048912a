"""What runs leave behind is read whole, or refused with the place of the fault."""

import json
from pathlib import Path

import pandas as pd
import pytest

from metafacs.analysis.records import RunName, find_runs, read_metrics, read_run_name, read_sample_weights
from metafacs.errors import InputError
from tests.evaluation.runs import write_run


def write_lines(run: Path, *lines: object, end: str = "\n") -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (run / "metrics.jsonl").write_text(text + end, encoding="utf-8")
    return run


def train(step: int, **values: float) -> dict[str, object]:
    return {"event": "train", "step": step, **values}


def test_metrics_are_read_in_the_order_of_the_steps(tmp_path: Path) -> None:
    validation = {"event": "validation", "step": 2, "average_f1": 0.5}
    run = write_lines(tmp_path, train(1, loss_primary=2.0), train(2, loss_primary=1.0), validation)
    for source in (run, run / "metrics.jsonl"):
        table = read_metrics(source)
        assert table["step"].tolist() == [1, 2, 2]
        assert table["event"].tolist() == ["train", "train", "validation"]
        assert table["loss_primary"].iloc[:2].tolist() == [2.0, 1.0]
        assert table["average_f1"].isna().tolist() == [True, True, False]


def test_half_a_line_at_the_end_is_passed_over_wherever_it_is_cut(tmp_path: Path) -> None:
    last = json.dumps(train(2, loss_primary=1.0))
    for size in range(1, len(last)):
        run = write_lines(tmp_path, train(1, loss_primary=2.0), last[:size], end="")
        assert read_metrics(run)["step"].tolist() == [1]


@pytest.mark.parametrize("broken", ['{"event": "tr', "[1, 2]", '{"step": 3}', '{"event": "train"}', "NaN", "\x00\x00"])
def test_broken_line_before_the_end_is_refused_with_its_number(tmp_path: Path, broken: str) -> None:
    run = write_lines(tmp_path, train(1), broken, train(2))
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 2"):
        read_metrics(run)


def test_complete_but_broken_last_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_metrics(write_lines(tmp_path, train(1), "what is this"))


def test_last_line_of_a_repeated_step_counts(tmp_path: Path) -> None:
    lines = [
        train(10, loss_primary=3.0),
        train(20, loss_primary=2.0),
        train(10, loss_primary=3.5),
        train(20, loss_primary=2.5),
    ]
    table = read_metrics(write_lines(tmp_path, *lines))
    assert table["step"].tolist() == [10, 20]
    assert table["loss_primary"].tolist() == [3.5, 2.5]


def test_missing_and_empty_metrics_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_metrics(tmp_path)
    with pytest.raises(InputError, match="no complete line"):
        read_metrics(write_lines(tmp_path, '{"event"', end=""))


def test_run_is_named_by_its_predictions_or_its_config(tmp_path: Path) -> None:
    run = write_run(tmp_path, "mal", "P2", 3)
    assert read_run_name(run) == RunName("mal", "P2", 3)
    assert read_run_name(write_run(tmp_path, "mal", label="MAL, raw")).method == "MAL, raw"
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_text("method: mal\ndata: {test_fold: P2}\nseed: 3\nmal: {beta: 1}\n")
    assert read_run_name(unfinished) == RunName("mal", "P2", 3)


@pytest.mark.parametrize("text", [None, "a: [", "seed: 1", ""])
def test_folder_that_names_no_method_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=tmp_path.name):
        read_run_name(tmp_path)


def test_values_that_were_not_finite_are_read_as_not_known(tmp_path: Path) -> None:
    table = read_metrics(write_lines(tmp_path, train(1, loss_primary=2.0), {**train(2), "loss_primary": None}))
    assert table["loss_primary"].dtype == float
    assert table["loss_primary"].isna().tolist() == [False, True]


def test_latest_weight_of_each_image_counts(tmp_path: Path) -> None:
    rows = {
        "stream": ["auxiliary", "auxiliary", "primary", "auxiliary"],
        "row": [0, 1, 0, 0],
        "consistency": [0.5, 1.0, None, 0.5],
        "cause": ["blend", "clear", None, "blend"],
        "weight": [0.1, 0.2, 0.3, 0.4],
        "step": [5, 5, 5, 10],
    }
    pd.DataFrame(rows).to_parquet(tmp_path / "sample_weights.parquet")
    assert read_sample_weights(tmp_path)["weight"].tolist() == [0.4, 0.2, 0.3]


def test_unusable_sample_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="learns no weights"):
        read_sample_weights(tmp_path)
    path = tmp_path / "sample_weights.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_sample_weights(tmp_path)
    pd.DataFrame({"stream": ["auxiliary"], "weight": [0.5]}).to_parquet(path)
    with pytest.raises(InputError, match="no column row, consistency, cause, step"):
        read_sample_weights(tmp_path)


def finished(folder: Path, method: str) -> Path:
    run = write_run(folder, method)
    (run / "config.yaml").write_text(f"method: {method}\n")
    (run / "done").write_text("{}")
    return run


def test_runs_of_a_grid_are_found_in_the_order_of_tables(tmp_path: Path) -> None:
    runs = {method: finished(tmp_path / "runs", method) for method in ("mal", "dwa", "mtl", "stl")}
    (tmp_path / "runs" / "half").mkdir()
    (tmp_path / "runs" / "half" / "config.yaml").write_text("method: mal\n")
    (tmp_path / "runs" / "mal.log").write_text("step 1\n")
    found, notes = find_runs([tmp_path, runs["mal"]])
    assert found == [runs[name] for name in ("stl", "mtl", "dwa", "mal")]
    assert len(notes) == 1 and "1 of 5 runs" in notes[0] and "half" in notes[0]
    assert find_runs([runs["mal"], runs["stl"]]) == ([runs["mal"], runs["stl"]], [])
    assert find_runs([tmp_path / "runs"])[0] == found
    matched = [tmp_path / "runs" / name for name in ("mal.log", runs["mal"].name)]
    assert find_runs(matched) == ([runs["mal"]], [])
    with pytest.raises(InputError, match=r"mal\.log is a file"):
        find_runs(matched[:1])


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        find_runs([tmp_path / "nothing"])
    with pytest.raises(InputError, match="neither a run folder nor that of a benchmark"):
        find_runs([tmp_path])
    (tmp_path / "runs" / "half").mkdir(parents=True)
    with pytest.raises(InputError, match="no finished run"):
        find_runs([tmp_path])
