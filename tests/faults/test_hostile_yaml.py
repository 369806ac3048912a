"""Configurations that a stranger has written: no code runs, time and memory are bounded, the error is clear."""

import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.runs import CONFIG
from metafacs.yamlfile import MOST_BYTES, parse_yaml, read_yaml
from tests.faults.hostile import Said, little_memory, refusal
from tests.toy_runs import flags


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    return partial(refusal, capfd, tmp_path / "BOOM")


LETTERS = "abcdefghij"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{name}'] * 10)}]\n" for name, after in pairwise(LETTERS)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{','.join([f'*{name}'] * 10)}]}}\n" for name, after in pairwise(LETTERS)
)
HOSTILE = {
    "call": "!!python/object/apply:os.system ['touch {target}']\n",
    "new": "out: !!python/object/new:os.system ['touch {target}']\n",
    "module": "seed: !!python/module:subprocess\n",
    "name": "seed: !!python/name:os.system\n",
    "tuple": "seed: !!python/tuple [1]\n",
    "class": "data: {{class_path: subprocess.Popen, init_args: {{args: [touch, '{target}']}}}}\n",
    "laughs": LAUGHS.replace("{", "{{").replace("}", "}}"),
    "merges": MERGES.replace("{", "{{").replace("}", "}}"),
    "itself": "a: &a [*a]\n",
    "itself by key": "a: &a {{b: *a}}\n",
    "twice": "seed: 1\nseed: 2\n",
    "twice below": "loop: {{steps: 3, steps: 4}}\n",
    "deep": "[" * 20_000,
    "deep maps": "a: " + "{{a: " * 3000,
    "deep blocks": "\n".join(" " * k + "a:" for k in range(300)),
    "binary": "\x00\x01\x02",
    "digits": "seed: " + "9" * 6000,
    "date": "seed: 2024-99-99",
    "unknown": "nonsense: 1",
    "empty": "",
    "list": "- 1",
    "text": "hello",
    "types": "seed: [1]\nloop: 3\n",
    "truth": "seed: true",
    "long": "#" * (MOST_BYTES + 1),
    "itself as a file": "config: {file}\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
}


@pytest.mark.parametrize(
    "flag", ["--config", *(pytest.param(flag, marks=pytest.mark.slow) for flag in ("--config=", "--data", "--loop"))]
)
@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_configuration(name: str, flag: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=file))
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", loop__steps=1)
    with little_memory(200):
        said(*own, *([f"{flag}{file}"] if flag.endswith("=") else [flag, file]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "seed: 1".encode("utf-16"), b"a: \xe9\n"])
def test_a_configuration_that_is_no_text(
    content: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    for flag in ("--config", "--data"):
        said(*flags(tmp_path / "run", au_dataset.folder, None, method="stl"), flag, tmp_path / "c.yaml")
    with pytest.raises(InputError, match=r"c\.yaml is not valid YAML"):
        read_yaml(tmp_path / "c.yaml")


def test_what_is_no_file_is_not_read_as_one(au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl")
    assert "/dev/zero is no file" in said(*own, "--config", "/dev/zero")
    assert f"{tmp_path} is no file" in said(*own, f"--config={tmp_path}")


def test_a_hostile_configuration_of_a_run(au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("call", "laughs", "digits", "list"):
        (run / CONFIG).write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=run))
        assert "config.yaml is not" in said(*flags(run, au_dataset.folder, None, method="stl"), "--resume")


@pytest.mark.parametrize("where", ["data: {}", "network: {options: {}}", "{}", "loop: {}"])
def test_a_class_in_a_configuration_is_not_imported(
    where: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing a module is running code."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "innocent.py").write_text(
        f"open({str(tmp_path / 'BOOM')!r}, 'w').close()\nclass Innocent: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "c.yaml").write_text(where.replace("{}", "{class_path: innocent.Innocent}") + "\n")
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl")
    for flag in ("--config", "--data", "--network", "--loop"):
        said(*own, flag, tmp_path / "c.yaml")


def test_anchors_within_reason_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n") == {"a": [1, 2], "b": [1, 2]}
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n")["b"] == {"x": 1, "y": 2}


@pytest.mark.slow
def test_memory_and_time_of_the_worst_ones_in_a_process_of_their_own(tmp_path: Path) -> None:
    """With half a gibibyte more than an ordinary start needs, and ten seconds of processor time."""
    for name in ("laughs", "merges", "deep", "deep maps", "digits", "long"):
        (tmp_path / "c.yaml").write_text(HOSTILE[name].format(target=tmp_path / "BOOM", file=""))
        code = (
            "import resource, sys, metafacs.commands.train; from metafacs.cli import main\n"
            "size = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
            "resource.setrlimit(resource.RLIMIT_AS, (size + 2**29, size + 2**29))\n"
            "used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)\n"
            "resource.setrlimit(resource.RLIMIT_CPU, (used + 10, used + 10))\n"
            f"sys.exit(main(['train', '--config', {str(tmp_path / 'c.yaml')!r}]))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 2 and "Traceback" not in done.stderr, (name, done.stderr)
