import pytest

from metafacs.errors import InputError
from metafacs.registry import Registry


def shapes() -> Registry[object]:
    registry: Registry[object] = Registry("shape")
    for name in ("round", "square"):
        registry.register(name)(type(name, (), {}))
    return registry


def test_entries_come_back_in_the_order_of_registration() -> None:
    registry = shapes()
    assert list(registry) == ["round", "square"]
    assert len(registry) == 2
    assert registry["square"].__name__ == "square"


def test_registering_returns_the_class_itself() -> None:
    registry = shapes()

    @registry.register("flat")
    class Flat: ...

    assert registry["flat"] is Flat


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown shape 'oval'; known: round, square"):
        shapes()["oval"]


def test_a_name_is_taken_once() -> None:
    registry = shapes()
    with pytest.raises(ValueError, match="shape 'round' is registered already"):
        registry.register("round")(type("other", (), {}))
    assert registry["round"].__name__ == "round"
