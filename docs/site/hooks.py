"""Hooks of mkdocs: pages that lie outside docs/ or are generated, formulas, and lists as GitHub reads them."""

import posixpath
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from metafacs.cli import COMMANDS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
import reference
import tutorials

NAMED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/metafacs/starter/MODEL_CARD.md": "model_card.md",
}
"""Path in the repository -> page of the site; other files outside docs/ that a page links come below repository/."""
_LINK = re.compile(r"""(\]\(|src=")([^)"\s#]+)((?:#[^)\s]*)?[)"])""")
_FENCE = re.compile(r"(?ms)^( *)(`{3,}).*?^\1\2$")
_LIST_BEHIND_TEXT = re.compile(r"(?m)^((?![ \t]*(?:[-*|>#]|\d+\.)[ \t])[^\n]+\n)(?=(?:[-*]|\d+\.) )")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fenced blocks of `math` become MathML, which browsers draw without a script; each command has its page."""
    fence = {"name": "math", "class": "math", "format": _formula}
    config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", []).append(fence)
    commands = {"Commands": ["reference/commands.md", *(f"reference/{name}.md" for name in COMMANDS)]}
    config.nav = [*config.nav[:-1], {"Reference": [commands, *config.nav[-1]["Reference"]]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the reference, the tutorials, and whatever the pages link outside docs/."""
    for page, text in _generated().items():
        files.append(File.generated(config, page, content=text))
    for path in sorted(tutorials.BUILT.rglob("*")):
        if path.is_file():
            name = f"tutorials/{path.relative_to(tutorials.BUILT).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    waiting = [*NAMED, *(f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.generated_by)]
    waiting += [f"docs/tutorials/{name}.py" for name in tutorials.names()]
    taken = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(File.generated(config, _place(path), abs_src_path=str(ROOT / path)))
        page = path.endswith(".md") or path.startswith("docs/tutorials/")
        for linked in _linked(path) - taken if page else ():
            taken.add(linked)
            waiting.append(linked)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links go to where files are in the site; a list needs no blank line before it, as on GitHub."""
    origin = {place: path for path, place in NAMED.items()}.get(page.file.src_uri)
    origin = origin or page.file.src_uri.removeprefix("repository/")
    path = origin if (ROOT / origin).exists() else f"docs/{origin}"

    def moved(match: re.Match[str]) -> str:
        target = _target(path, match[2])
        if not (ROOT / target).exists() or "://" in match[2]:
            return match[0]
        if (ROOT / target).is_dir():
            return "]"  # a folder is not in the site: "[name]" stays
        return match[1] + posixpath.relpath(_place(target), posixpath.dirname(page.file.src_uri) or ".") + match[3]

    parts, end = [], 0
    for fence in [*_FENCE.finditer(markdown), None]:
        text = markdown[end : fence.start() if fence else None]
        parts += [_LIST_BEHIND_TEXT.sub(r"\1\n", _LINK.sub(moved, text)), fence[0] if fence else ""]
        end = fence.end() if fence else end
    return "".join(parts)


def _formula(source: str, *_: Any, **__: Any) -> str:
    return f'<div class="formula">{convert(source, display="block")}</div>'


@cache
def _generated() -> dict[str, str]:
    return {**reference.pages(), **tutorials.not_executed()}


def _linked(path: str) -> set[str]:
    """The files outside docs/ that a page links, as paths in the repository."""
    text = _FENCE.sub("", (ROOT / path).read_text(encoding="utf-8"))
    targets = {_target(path, link[1]) for link in _LINK.findall(text) if "://" not in link[1]}
    return {target for target in targets if not target.startswith("docs/") and (ROOT / target).is_file()}


def _target(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _place(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path.startswith("docs/tutorials/"):
        path = path.replace(".py", ".md")
    return NAMED.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}")
