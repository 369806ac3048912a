"""Pages of reference: commands from their parsers, the Python door from its docstrings."""

import importlib
import re
from collections.abc import Sequence
from typing import Any
from unittest import mock

from jsonargparse import ArgumentParser

import metafacs
from metafacs.cli import COMMANDS
from metafacs.datasets import DATASETS

KINDS = {"prepare": list(DATASETS), "synth": ["au", "fe"]}
"""Commands that have commands of their own."""


def pages() -> dict[str, str]:
    """Page -> Markdown."""
    rows = "\n".join(f"| [`metafacs {name}`]({name}.md) | {text} |" for name, text in COMMANDS.items())
    note = "Each flag can stand in a YAML file, given with `--config`, where a command has that flag."
    index = f"# Commands\n\n| command | |\n| --- | --- |\n{rows}\n\n{note}\n"
    doors = "\n\n".join(f"::: metafacs.{name}" for name in metafacs.__all__)
    python = f"# Python\n\nAll of it is imported as `metafacs.NAME`.\n\n{doors}\n"
    commands = {f"reference/{name}.md": command_page(name) for name in COMMANDS}
    return {"reference/commands.md": index, "reference/python.md": python, **commands}


def command_page(name: str) -> str:
    """What `metafacs NAME --help` says, and `metafacs NAME KIND --help`, as a page."""
    first = parser_of(name)
    kinds = {kind: parser_of(name, kind) for kind in KINDS.get(name, [])}
    shared = set.intersection(*(set(flags(one)) for one in kinds.values())) if kinds else set()
    text = [f"# metafacs {name}", paragraph(first.description), *flag_lists(first, set())]
    if kinds:
        some = next(iter(kinds.values()))
        named = "`, `".join(kinds)
        text += ["## Flags of all of these", f"`{named}`", *flag_lists(some, set(flags(some)) - shared, titled=False)]
    for kind, one in kinds.items():
        said = paragraph(one.description).removeprefix(paragraph(first.description))
        text += [f"## metafacs {name} {kind}", said.strip(), *flag_lists(one, shared, titled=False)]
    return "\n\n".join(filter(None, text)) + "\n"


def parser_of(command: str, *arguments: str) -> ArgumentParser:
    """The parser that a command makes for itself."""

    class Made(Exception):  # noqa: N818 - nothing is wrong
        pass

    def caught(parser: ArgumentParser, *_: Any, **__: Any) -> None:
        raise Made(parser)

    module = importlib.import_module(f"metafacs.commands.{command}")
    with mock.patch.object(ArgumentParser, "parse_args", caught):
        try:
            module.main(f"metafacs {command}", list(arguments))
        except Made as made:
            return made.args[0]
    raise RuntimeError(f"metafacs {command} {' '.join(arguments)} parsed nothing")


def flags(parser: ArgumentParser) -> list[str]:
    """The names of all flags that are explained."""
    return [action.dest for _, actions in groups(parser) for action in actions]


def groups(parser: ArgumentParser) -> list[tuple[str, Sequence[Any]]]:
    """(title, flags) of each group that has any."""
    shown = [(str(group.title), [a for a in group._group_actions if known(a)]) for group in parser._action_groups]
    return [(title, actions) for title, actions in shown if actions]


def known(action: Any) -> bool:
    """Whether it is a flag of this command, not one of all commands or of the parser's own."""
    own = action.dest not in ("help", "print_config") and action.help not in (
        "==SUPPRESS==",
        "Path to a configuration file.",
    )
    return own and bool(action.help)


def flag_lists(parser: ArgumentParser, without: set[str], titled: bool = True) -> list[str]:
    """A table for each group of flags; a group with a name of its own, such as `mal`, has a heading."""
    help_of = parser._get_formatter()._expand_help
    lists = []
    for title, actions in groups(parser):
        rows = [row(action, help_of(action)) for action in actions if action.dest not in without]
        name = actions[0].dest.split(".")[0] if all("." in action.dest for action in actions) else ""
        lists += [f"## --{name}", f"{title[:1].upper()}{title[1:]}."] if rows and name and titled else []
        lists += ["\n".join(["| flag | | default |", "| --- | --- | --- |", *rows])] if rows else []
    return lists


def row(action: Any, text: str) -> str:
    """A flag as a row of a table: its name, what it says of itself, its default."""
    names = [name for name in action.option_strings if not name.endswith("+")] or [action.dest]
    told, _, facts = paragraph(text).rpartition(" (")
    if not re.match(r"required|type: |default: ", facts):
        told, facts = paragraph(text), ""
    default = (
        "required" if facts.startswith("required") else facts.rpartition("default: ")[2].rstrip(")") if facts else ""
    )
    words = re.findall(r"'([^']*)'", facts.partition(", default: ")[0]) if "Literal[" in facts else action.choices or ()
    unsaid = [f"`{word}`" for word in words if str(word) not in told]
    told += f" One of {', '.join(f'`{word}`' for word in words)}." if unsaid else ""
    default = re.sub(r"PosixPath\('([^']*)'\)", r"\1", default)
    shown = default if default in ("required", "") else "" if default == "null" else f"`{default}`"
    return f"| `{'`, `'.join(names)}` | {cell(told)} | {shown.replace('|', chr(92) + '|')} |"


def paragraph(text: str | None) -> str:
    """Wrapped text as one line."""
    return re.sub(r"\s+", " ", text or "").strip()


def cell(text: str) -> str:
    """Text for a Markdown table; what is quoted as code stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([|*_\[\]])", r"\\\1", part.replace("<", "&lt;")) for part in parts
    )
