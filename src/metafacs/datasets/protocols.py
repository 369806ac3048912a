"""What is published about the benchmarks: who is in which part, how many frames there are, how often each AU acts.

Parts of BP4D and DISFA, frame counts and base rates were counted from the lists that public repositories ship
(ME-GraphAU, PyTorch-JAANet, FG-Net); parts are named by the people they test, because repositories number them
differently (`FOLD_NAMES`).
"""

from collections.abc import Mapping
from types import MappingProxyType

Parts = Mapping[str, tuple[str, ...]]


def _parts(**names: str) -> Parts:
    return MappingProxyType({part: tuple(text.split()) for part, text in names.items()})


BP4D_PARTS: Parts = _parts(
    P1="F001 M007 F018 F008 F002 M004 F010 F009 M012 M001 F016 M014 F023 M008",
    P2="M011 F003 M010 M002 F005 F022 M018 M017 F013 M016 F020 F011 M013 M005",
    P3="F007 F015 F006 F019 M006 M009 F012 M003 F004 F021 F017 M015 F014",
)
"""The 41 people of BP4D by test part; F and M are women and men."""

BP4D_TASKS: tuple[str, ...] = tuple(f"T{number}" for number in range(1, 9))
"""The eight tasks every person of BP4D went through."""

DISFA_PARTS: Parts = _parts(
    P1="SN002 SN010 SN001 SN026 SN027 SN032 SN030 SN009 SN016",
    P2="SN013 SN018 SN011 SN028 SN012 SN006 SN031 SN021 SN024",
    P3="SN003 SN029 SN023 SN025 SN008 SN005 SN007 SN017 SN004",
)
"""The 27 people of DISFA by test part."""

DISFA_FRAMES = 4845
"""Labelled frames of each person of DISFA; of a few, one less."""

FOLD_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ME-GraphAU": MappingProxyType({"fold1": "P3", "fold2": "P2", "fold3": "P1"}),
        "MDHR": MappingProxyType({"fold1": "P3", "fold2": "P2", "fold3": "P1"}),
        "AU-Net": MappingProxyType({"fold1": "P3", "fold2": "P2", "fold3": "P1"}),
        "JAA-Net": MappingProxyType({"part1": "P1", "part2": "P2", "part3": "P3"}),
        "FG-Net": MappingProxyType({"labels/0": "P1", "labels/1": "P2", "labels/2": "P3"}),
        "LibreFace": MappingProxyType({"labels/0": "P3", "labels/1": "P2", "labels/2": "P1"}),
    }
)
"""Repository -> its name of a fold -> the part that is tested. JAA-Net trains on `combine_1_2` to test on part3."""

FRAMES_PER_PART: Mapping[str, Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "bp4d": MappingProxyType(
            {
                "ME-GraphAU": MappingProxyType({"P1": 50631, "P2": 50182, "P3": 46034}),
                "JAA-Net": MappingProxyType({"P1": 50601, "P2": 50166, "P3": 45809}),
                "FG-Net": MappingProxyType({"P1": 50579, "P2": 50157, "P3": 45687}),
            }
        ),
        "disfa": MappingProxyType(
            {
                "ME-GraphAU": MappingProxyType({"P1": 43604, "P2": 43605, "P3": 43605}),
                "JAA-Net": MappingProxyType({"P1": 43173, "P2": 40344, "P3": 42627}),
                "FG-Net": MappingProxyType({"P1": 43545, "P2": 43605, "P3": 43161}),
            }
        ),
    }
)
"""Dataset -> repository -> part -> frames. ME-GraphAU drops none; JAA-Net and FG-Net drop those without landmarks."""

BASE_RATES: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "bp4d": MappingProxyType(
            {1: 0.2114, 2: 0.1710, 4: 0.2026, 6: 0.4609, 7: 0.5490, 10: 0.5943}
            | {12: 0.5620, 14: 0.4656, 15: 0.1694, 17: 0.3433, 23: 0.1654, 24: 0.1514}
        ),
        "disfa": MappingProxyType(
            {1: 0.0497, 2: 0.0431, 4: 0.1524, 6: 0.0789, 9: 0.0418, 12: 0.1288, 25: 0.2771, 26: 0.0882}
        ),
    }
)
"""Dataset -> AU -> share of all frames in which it is present (BP4D: coded 1; DISFA: intensity 2 or more)."""

GFT_GROUPS, GFT_GROUP_SIZE, GFT_SECONDS, GFT_RATE = 32, 3, 60, 30
"""GFT: groups, people in each, and what is annotated of each: a minute at 30 frames a second, 172,800 frames in all."""
GFT_TEST_GROUPS = 6
"""Papers that use GFT train on 78 people and test on 18; which ones is said in the release only."""

RAFDB_EXPRESSIONS: Mapping[int, str] = MappingProxyType(
    {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}
)
"""Codes of RAF-DB's basic expressions."""

RAFDB_COUNTS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "train": MappingProxyType(
            {"surprise": 1290, "fear": 281, "disgust": 717, "happiness": 4772}
            | {"sadness": 1982, "anger": 705, "neutral": 2524}
        ),
        "test": MappingProxyType(
            {"surprise": 329, "fear": 74, "disgust": 160, "happiness": 1185}
            | {"sadness": 478, "anger": 162, "neutral": 680}
        ),
    }
)
"""Images of RAF-DB's basic expressions, by its own split."""

AFFECTNET_EXPRESSIONS: Mapping[int, str] = MappingProxyType(
    {0: "neutral", 1: "happiness", 2: "sadness", 3: "surprise", 4: "fear", 5: "disgust", 6: "anger", 7: "contempt"}
)
"""Codes of AffectNet's expressions; 8 none, 9 uncertain and 10 no face are not expressions."""

FER2013_EXPRESSIONS: Mapping[int, str] = MappingProxyType(
    {0: "anger", 1: "disgust", 2: "fear", 3: "happiness", 4: "sadness", 5: "surprise", 6: "neutral"}
)
"""Codes of FER2013's first labels, in the column `emotion` of `fer2013.csv`."""

FERPLUS_VOTES: tuple[str, ...] = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)
"""The vote columns of `fer2013new.csv`; NF: not a face."""

FERPLUS_COUNTS: Mapping[str, int] = MappingProxyType(
    {"neutral": 13013, "happiness": 9367, "surprise": 4493, "sadness": 4415, "anger": 3124, "disgust": 253, "fear": 825}
)
"""Rows of FERPlus by the expression with most votes; contempt, with 221, is not among the seven."""

FERPLUS_USAGES: Mapping[str, int] = MappingProxyType({"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589})
"""Rows of FER2013 and FERPlus by their column `Usage`."""


def part_of(parts: Parts, subject: str) -> str | None:
    """The part a subject is in, or None.

    Example:
        >>> part_of(BP4D_PARTS, "F007")
        'P3'
    """
    return next((part for part, subjects in parts.items() if subject in subjects), None)
