import dataclasses

import pytest

from metafacs import facs
from metafacs.errors import InputError


def test_codes_are_complete_and_agree_with_their_keys() -> None:
    face = {*range(1, 47)} - {3}
    others = {50, *range(51, 59), *range(61, 67), 69, *range(70, 75), 80, 81, 82, 84, 85, 91, 92, 97, 98}
    assert set(facs.ACTION_UNITS) == face | others
    assert all(code == unit.code for code, unit in facs.ACTION_UNITS.items())
    assert list(facs.ACTION_UNITS) == sorted(facs.ACTION_UNITS)


def test_every_code_is_described_and_names_are_unique() -> None:
    regions = {
        *("forehead", "eyes", "nose", "cheeks", "mouth", "chin", "jaw", "neck"),
        *("head", "gaze", "visibility", "gross"),
    }
    for unit in facs.ACTION_UNITS.values():
        assert unit.name[0].isupper() and unit.description and unit.region in regions
    assert len({unit.name for unit in facs.ACTION_UNITS.values()}) == len(facs.ACTION_UNITS)


def test_every_benchmark_au_has_muscles() -> None:
    for codes in facs.AU_SETS.values():
        assert all(facs.ACTION_UNITS[code].muscles for code in codes)


def test_action_units_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        facs.ACTION_UNITS[1].code = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("code", "name", "muscle"),
    [
        (1, "Inner brow raiser", "frontalis"),
        (4, "Brow lowerer", "corrugator supercilii"),
        (6, "Cheek raiser", "orbicularis oculi (pars orbitalis)"),
        (7, "Lid tightener", "orbicularis oculi (pars palpebralis)"),
        (9, "Nose wrinkler", "levator labii superioris alaeque nasi"),
        (12, "Lip corner puller", "zygomaticus major"),
        (14, "Dimpler", "buccinator"),
        (15, "Lip corner depressor", "depressor anguli oris"),
        (17, "Chin raiser", "mentalis"),
        (20, "Lip stretcher", "risorius"),
        (24, "Lip pressor", "orbicularis oris"),
        (26, "Jaw drop", "masseter"),
    ],
)
def test_names_and_muscles(code: int, name: str, muscle: str) -> None:
    assert facs.ACTION_UNITS[code].name == name
    assert muscle in facs.ACTION_UNITS[code].muscles


def test_benchmark_sets_have_the_papers_sizes() -> None:
    sizes = {name: len(codes) for name, codes in facs.AU_SETS.items()}
    assert sizes == {"bp4d": 12, "bp4d_intensity": 5, "disfa": 8, "disfa_all": 12, "gft": 10}
    assert facs.AU_SETS["bp4d"] == (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    assert facs.AU_SETS["disfa"] == (1, 2, 4, 6, 9, 12, 25, 26)
    assert facs.AU_SETS["gft"] == (1, 2, 4, 6, 10, 12, 14, 15, 23, 24)


def test_prototypes_cover_the_expressions_with_known_aus() -> None:
    assert tuple(facs.EMFACS) == tuple(facs.EMFACS_OPTIONAL) == facs.EXPRESSIONS
    for expression in facs.EXPRESSIONS:
        core, optional = set(facs.EMFACS[expression]), set(facs.EMFACS_OPTIONAL[expression])
        assert core | optional <= set(facs.ACTION_UNITS)
        assert not core & optional
    assert len(set(facs.EMFACS.values())) == len(facs.EXPRESSIONS)


def test_column_names_round_trip() -> None:
    for code in facs.ACTION_UNITS:
        assert facs.au_code(facs.au_column(code)) == code
    assert facs.au_column(12) == "AU12" and facs.au_column(4) == "AU04"
    assert facs.au_title("AU04") == "AU4"
    assert facs.intensity_column("AU04") == "AU04_intensity"


@pytest.mark.parametrize("text", ["AU03", "AU00", "AU123", "brow", "", "AU1_intensity", "-1", "1.0", "AU", "²"])
def test_wrong_columns_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="names no FACS action unit; known: 1, 2, 4"):
        facs.au_code(text)


def test_wrong_code_is_refused() -> None:
    with pytest.raises(InputError, match="3 is not a FACS action unit"):
        facs.au_column(3)


@pytest.mark.parametrize("text", ["1,2,AU4", " au01 , 02,AU04,", "1,2,4"])
def test_parse_aus_reads_every_usual_spelling(text: str) -> None:
    assert facs.parse_aus(text) == ["AU01", "AU02", "AU04"]


def test_parse_aus_reads_sets_and_keeps_the_order() -> None:
    assert facs.parse_aus("BP4D") == [facs.au_column(code) for code in facs.AU_SETS["bp4d"]]
    assert facs.parse_aus("12,1") == ["AU12", "AU01"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,3,smile", "unknown AUs: 3, smile; give one of the sets bp4d, .*disfa.*, or a list"),
        ("bp5d", "unknown AUs: bp5d"),
        (" , ", "the list of AUs is empty"),
        ("1,2,AU01", "named more than once in '1,2,AU01': AU1; name each AU once"),
    ],
)
def test_parse_aus_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        facs.parse_aus(text)
