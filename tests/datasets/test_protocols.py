from metafacs.datasets.protocols import (
    BASE_RATES,
    BP4D_PARTS,
    DISFA_FRAMES,
    DISFA_PARTS,
    FOLD_NAMES,
    FRAMES_PER_PART,
    RAFDB_COUNTS,
    RAFDB_EXPRESSIONS,
    part_of,
)
from metafacs.facs import AU_SETS, EXPRESSIONS


def test_everybody_is_in_one_part() -> None:
    bp4d = [subject for part in BP4D_PARTS.values() for subject in part]
    women, men = [f"F{k:03d}" for k in range(1, 24)], [f"M{k:03d}" for k in range(1, 19)]
    assert sorted(bp4d) == [*women, *men]
    disfa = [subject for part in DISFA_PARTS.values() for subject in part]
    missing = {f"SN{k:03d}" for k in range(1, 33)} - set(disfa)
    assert len(disfa) == len(set(disfa)) == 27 and missing == {"SN014", "SN015", "SN019", "SN020", "SN022"}
    assert part_of(DISFA_PARTS, "SN021") == "P2" and part_of(BP4D_PARTS, "X") is None


def test_frames_add_up_to_the_published_totals() -> None:
    totals = {name: {who: sum(of.values()) for who, of in found.items()} for name, found in FRAMES_PER_PART.items()}
    assert totals["bp4d"]["ME-GraphAU"] == 146847 and totals["bp4d"]["JAA-Net"] == 146576
    assert totals["disfa"]["ME-GraphAU"] == 130814 and totals["disfa"]["JAA-Net"] == 126144
    assert abs(27 * DISFA_FRAMES - totals["disfa"]["ME-GraphAU"]) < 5


def test_every_reported_au_has_a_base_rate() -> None:
    for name in ("bp4d", "disfa"):
        assert tuple(BASE_RATES[name]) == AU_SETS[name]
        floor = [2 * rate / (1 + rate) for rate in BASE_RATES[name].values()]
        assert round(100 * sum(floor) / len(floor), 1) in (48.0, 48.1, 18.7, 18.8)


def test_fold_names_lead_to_every_part() -> None:
    for folds in FOLD_NAMES.values():
        assert sorted(folds.values()) == ["P1", "P2", "P3"]
    assert FOLD_NAMES["ME-GraphAU"]["fold1"] == "P3" and FOLD_NAMES["FG-Net"]["labels/0"] == "P1"


def test_rafdb_counts_are_its_own() -> None:
    assert {split: sum(counts.values()) for split, counts in RAFDB_COUNTS.items()} == {"train": 12271, "test": 3068}
    assert set(RAFDB_EXPRESSIONS.values()) == set(EXPRESSIONS) == set(RAFDB_COUNTS["test"])
