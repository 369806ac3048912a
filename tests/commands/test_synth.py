from importlib.util import find_spec
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
from tests.toy_runs import metafacs

pytestmark = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
FAST = ("--workers", "1", "--rays", "1")


def test_the_tiny_preset_makes_both_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny"
    assert metafacs("synth", "--preset", "tiny", "--out", out, "--workers", "1", "--weak", "0.5") == 0
    printed = capsys.readouterr().out
    assert f"{out / 'au'}: 12 faces" in printed and f"{out / 'fe'}: 14 faces" in printed
    causes = PreparedDataset.open(out / "fe").to_pandas()["cause"]
    assert (causes == "weak").sum() == 7
    assert PreparedDataset.open(out / "au").image(0).shape == (48, 48, 3)


def test_a_benchmark_in_both_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("synth", "--preset", "rafdb", "--images", "3", *FAST)
    assert metafacs(*common, "--out", tmp_path / "prepared", "--size", "32") == 0
    assert metafacs(*common, "--out", tmp_path / "raw", "--layout", "raw", "--width", "96") == 0
    printed = capsys.readouterr().out
    assert "3 faces" in printed and "raw/RAF-DB: a raw tree" in printed and "truth.parquet" in printed
    assert len(list((tmp_path / "raw").rglob("*_aligned.jpg"))) == 3


def test_own_mixes(tmp_path: Path) -> None:
    au, fe = tmp_path / "au", tmp_path / "fe"
    few = ("--subjects", "3", "--frames", "2", "--aus", "12,4")
    assert metafacs("synth", "au", "--out", au, *few, "--size", "32", *FAST) == 0
    assert PreparedDataset.open(au).aus == ["AU12", "AU04"]
    shares = ("--mislabelled", "0.5", "--weak", "0", "--blend", "0", "--gaze", "0", "--pose", "0")
    assert metafacs("synth", "fe", "--out", fe, "--images", "2", *shares, "--size", "32", *FAST) == 0
    assert sorted(PreparedDataset.open(fe).to_pandas()["cause"]) == ["clear", "wrong label"]


def test_settings_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("images: 2\nsize: 32\nrays: 1\nworkers: 1\nunreadable: 1\n")
    shares = ("--weak", "0", "--blend", "0", "--gaze", "0", "--pose", "0", "--mislabelled", "0")
    arguments = ("--config", tmp_path / "mix.yaml", "--out", tmp_path / "fe", *shares)
    assert metafacs("synth", "fe", *arguments) == 0
    assert set(PreparedDataset.open(tmp_path / "fe").to_pandas()["cause"]) == {"unreadable"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "tiny", "--frames", "9"), "tiny has no use for frames (9)"),
        (("--preset", "small", "--layout", "raw"), "small has no raw layout"),
        (("--preset", "bp4d", "--coder_noise", "-1"), "coder_noise is -1.0"),
        (("--preset", "rafdb", "--weak", "0.9", "--blend", "0.9"), "add up to more than 1"),
    ],
)
def test_what_makes_no_sense_is_said(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metafacs("synth", *arguments, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [(), ("--preset", "bp5d", "--out", "x"), ("--preset", "tiny"), ("ua",)])
def test_wrong_flags_end_with_status_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert metafacs("synth", *arguments) == 2
    assert "metafacs synth --help" in capsys.readouterr().err
