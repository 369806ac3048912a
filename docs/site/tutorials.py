"""Runs the tutorials: each source in docs/tutorials becomes a notebook and a page with its outputs, in build/tutorials.

Run: `python docs/site/tutorials.py [NAME...]`; without names, all of them.
"""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
SOURCES, BUILT, WORK = ROOT / "docs" / "tutorials", ROOT / "build" / "tutorials", ROOT / "build" / "tutorials_work"
PROGRESS = re.compile(r"(?m)^.*: [\d,]+/[\d,]+.*\n?")
"""A line that says how far long work is: of use to who waits, not to who reads."""
LIMIT = 600
"""Seconds that one cell may take."""


def names() -> list[str]:
    """The tutorials, in alphabetical order."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def run(name: str) -> None:
    """Executes a tutorial in a folder of its own, and writes its notebook, page and pictures.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook, place = jupytext.read(SOURCES / f"{name}.py"), WORK / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["PYTHONWARNINGS"] = "ignore"  # other packages' own, which no reader can mend
    os.environ |= {"TTY_COMPATIBLE": "0", "COLUMNS": "110"}  # lines in place of bars that move
    os.environ.pop("MPLBACKEND", None)  # plots belong on the page
    resources = {"metadata": {"path": str(place)}}
    quiet = ["--log-level=ERROR"]  # of the kernel itself, which warns of a network that it does not use
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=resources, extra_arguments=quiet).execute()
    drop_progress(notebook)
    BUILT.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, BUILT / f"{name}.ipynb")
    text, pictures = page(name, notebook)
    for path, content in pictures.items():
        (BUILT / path).parent.mkdir(exist_ok=True)
        (BUILT / path).write_bytes(content)
    (BUILT / f"{name}.md").write_text(text, encoding="utf-8")


def drop_progress(notebook: nbformat.NotebookNode) -> None:
    """Takes lines of progress, and outputs that had nothing else, out of what commands and training printed."""
    for cell in notebook.cells:
        kept = []
        for output in cell.get("outputs", []):
            printed = "<pre" in output.get("data", {}).get("text/html", "")  # by training, line by line
            if printed:
                output = nbformat.v4.new_output("stream", name="stdout", text=output.data["text/plain"])
            if output.output_type == "stream":
                output.text = PROGRESS.sub("", output.text)
                if not output.text.strip():
                    continue
            kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept


def not_executed() -> dict[str, str]:
    """Page -> Markdown without outputs, of the tutorials that were not run."""
    left = [name for name in names() if not (BUILT / f"{name}.md").exists()]
    return {f"tutorials/{name}.md": page(name, jupytext.read(SOURCES / f"{name}.py"))[0] for name in left}


def page(name: str, notebook: nbformat.NotebookNode) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by path."""
    prefix = {"output_files_dir": f"{name}_files", "unique_key": name}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources=prefix)
    text = re.sub(r"(?s)<style.*?</style>\n?", "", text).replace(' border="1" class="dataframe"', "")
    text = re.sub(r"(?s)```python\n!(.*?)```", r"```bash\n\1```", text)
    title, rest = text.strip().split("\n", 1)
    executed = any(cell.get("outputs") for cell in notebook.cells)
    link = f"[This page as a notebook]({name}.ipynb)." if executed else "Not executed here; `make docs` does it."
    return f"{title}\n\n{link}\n{rest}\n", resources["outputs"]


if __name__ == "__main__":
    for chosen in sys.argv[1:] or names():
        began = time.monotonic()
        run(chosen)
        sys.stdout.write(f"{chosen}: {time.monotonic() - began:.0f} s\n")
