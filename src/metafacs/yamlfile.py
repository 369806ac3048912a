"""YAML that a stranger may have written: plain values only, within bounds of size, depth and repetition.

`yaml.safe_load` runs no code, but lets later entries replace earlier ones without a word, follows aliases that stand
for billions of values, and breaks off with errors that are not its own on deep nesting and huge numbers.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from metafacs.errors import InputError

MOST_BYTES = 256 * 1024
MOST_DEPTH = 40
MOST_VALUES = 50_000
"""Aliases counted as often as they stand for something."""
YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError, OverflowError)
"""What reading a text can raise; ValueError for dates and numbers that there cannot be."""


class _Loader(yaml.SafeLoader):
    """Plain values; keys once; not deep, not large."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {MOST_DEPTH} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def get_single_node(self) -> Node | None:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"it stands for more than {MOST_VALUES} values")
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, ScalarNode) else id(key)
            if name in seen:
                raise yaml.YAMLError(f"the key '{key.value[:50]}' stands there twice{key.start_mark}")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _size(node: Node, known: dict[int, int]) -> int:
    """Values that a node stands for; those that stand for themselves have no end."""
    if isinstance(node, ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # until it is known: what it finds on its way is itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is none, or one that no settings need: objects, keys twice, too large, too deep.
    """
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"it has {len(text)} characters; {MOST_BYTES} at most are read")
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except YAML_ERRORS as error:
        raise yaml.YAMLError(str(error) or type(error).__name__) from error


def read_yaml(path: Path) -> Any:
    """The value in a YAML file.

    Raises:
        InputError: it cannot be read; says why.
    """
    try:
        with path.open("rb") as file:
            return parse_yaml(file.read(MOST_BYTES + 1).decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error
