"""Which way imports run between the two packages, and the example of the README."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
GROUND = {"metafacs.errors", "metafacs.facs", "metafacs.files", "metafacs.pool"}
USERS = ("metafacs/synth/", "metafacs/commands/synth.py", "metafacs/export/parity.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def test_facsynth_imports_the_ground_floor_of_metafacs_only() -> None:
    names = {name for path in (SOURCE / "facsynth").rglob("*.py") for name in imports(path)}
    assert {name for name in names if name.split(".")[0] == "metafacs"} <= GROUND


def test_only_what_makes_datasets_imports_facsynth() -> None:
    for path in (SOURCE / "metafacs").rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        if not place.startswith(USERS):
            assert not {name for name in imports(path) if name.split(".")[0] == "facsynth"}, place
            if place != "metafacs/commands/demo.py":
                assert not {name for name in imports(path) if name.startswith("metafacs.synth")}, place


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (SOURCE / "facsynth/README.md").read_text("utf-8"), re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.count("(128, 128, 3) (68, 2)") == 4
