"""Commands in README and docs are understood; the tutorials' imports exist, and (slow) they run to their end."""

import ast
import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from metafacs.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "docs" / "tutorials").glob("*.py"))
NAMES = [path.stem for path in SOURCES]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = {"fading"}
"""Modules that a tutorial itself writes."""


class Parsed(Exception):  # noqa: N818 - nothing is wrong
    """A command has read its flags."""


def commands(source: Path) -> list[list[str]]:
    """The `metafacs ...` lines of a tutorial, in fenced blocks and after `!`, in words."""
    text = source.read_text(encoding="utf-8").replace("\\\n#", " ")
    lines = [
        line.removeprefix("# ")
        for block in re.findall(r"(?ms)^# ```bash\n(.*?)^# ```", text)
        for line in block.splitlines()
    ]
    lines += re.findall(r"(?m)^# !(.*)", text)
    return [shlex.split(line)[1:] for line in lines if line.startswith("metafacs ")]


def commands_of_page(page: Path) -> list[list[str]]:
    """The indented `metafacs ...` lines of a page, in words."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"(?m)^    (metafacs .*)", text)]


WRITTEN_DOWN = {path.name: commands(path) for path in SOURCES} | {path.name: commands_of_page(path) for path in PAGES}


SILENT = {"two_tasks.py", "claims.md", "faces.md", "install.md", "reliability.md"}
"""Without a command of ours."""


@pytest.mark.parametrize("name", WRITTEN_DOWN)
def test_every_command_is_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parse_args = ArgumentParser.parse_args

    def parse_only(parser: ArgumentParser, *given: Any, **options: Any) -> None:
        parse_args(parser, *given, **options)
        raise Parsed

    monkeypatch.setattr(ArgumentParser, "parse_args", parse_only)
    monkeypatch.chdir(ROOT)
    assert WRITTEN_DOWN[name] or name in SILENT
    for command, *arguments in WRITTEN_DOWN[name]:
        assert command in COMMANDS
        module = importlib.import_module(f"metafacs.commands.{command}")
        if {"--help", "--example"} & {*arguments}:  # these print and read no flags
            continue
        with pytest.raises(Parsed):
            module.main(f"metafacs {command}", arguments)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_every_import_exists(source: Path) -> None:
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for name in modules - WRITTEN:
        importlib.import_module(name)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("metafacs", "facsynth"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("jupytext", "nbclient", "nbconvert", "ipykernel"):
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    tutorials = importlib.import_module("tutorials")
    monkeypatch.setattr(tutorials, "BUILT", tmp_path / "built")
    monkeypatch.setattr(tutorials, "WORK", tmp_path / "work")
    tutorials.run(name)
    page = (tmp_path / "built" / f"{name}.md").read_text(encoding="utf-8")
    assert f"({name}.ipynb)" in page and (tmp_path / "built" / f"{name}.ipynb").exists()
    for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", page):
        assert (tmp_path / "built" / picture).exists()
    sys.modules.pop("tutorials")


def test_pages_do_without_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    for name in ("jupytext", "nbclient", "nbconvert"):
        pytest.importorskip(name)
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    printed = [
        nbformat.v4.new_output("stream", name="stderr", text="rendering au: 8/20, 2 s left\n20 faces\n"),
        nbformat.v4.new_output("display_data", {"text/html": "<pre>x</pre>", "text/plain": "training mal: 1/60\n"}),
        nbformat.v4.new_output("display_data", {"text/html": "<table></table>", "text/plain": "a: 1/2"}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("run()", outputs=printed)])
    importlib.import_module("tutorials").drop_progress(notebook)
    kept = notebook.cells[0].outputs
    assert [output.output_type for output in kept] == ["stream", "display_data"] and kept[0].text == "20 faces\n"
    sys.modules.pop("tutorials")
