"""What a reader of results has to be told before believing them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metafacs.analysis.records import read_metrics, read_run_name
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.files import flat
from metafacs.runs import CONFIG, ENVIRONMENT, read_config

FEW_SEEDS = 3
PER_RUN = ("seed", "data.test_fold", "method", "label")
"""Settings in which the runs of a comparison are meant to differ."""
_METHOD_PARTS = ("network", "optimiser", "loop", "data")


def cautions(runs: Sequence[Path], comparison: Comparison | None) -> list[str]:
    """One sentence on each thing that limits what the results say.

    Args:
        runs: run folders.
        comparison: of those with predictions, or None.
    """
    sentences = []
    if comparison is not None:
        sentences += _of_scores(comparison)
    return [*sentences, *_saturated(runs), *_unlike(runs)]


def settings_of(run: Path) -> dict[str, Any]:
    """A run's settings by the names of their flags; folders by their last two names; none where there is no config."""
    if not (run / CONFIG).exists():
        return {}
    settings = flat(read_config(run))
    folders = ("data.primary", "data.auxiliary", "network.weights")
    return {name: _short(value) if name in folders else value for name, value in settings.items()}


def environment_of(run: Path) -> dict[str, Any]:
    """Versions and hardware of a run; nothing where it did not write them."""
    try:
        environment = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return environment if isinstance(environment, dict) else {}


def _of_scores(comparison: Comparison) -> list[str]:
    sentences = [f"{warning[:1].upper()}{warning[1:]}." for warning in comparison.warnings]
    if comparison.dataset.startswith("rendered"):
        sentences.append("The faces are rendered: these scores do not compare with published ones on real faces.")
    seeds = comparison.counts()["seeds"]
    if (fewest := int(seeds.min())) < FEW_SEEDS:
        few = [method_title(str(name)) for name, count in seeds.items() if count < FEW_SEEDS]
        of = f"{'one seed' if fewest == 1 else f'{fewest} seeds'} of {_few(few)}"
        sentences.append(f"Only {of}: how much a score changes from training to training is hardly known.")
    if len(comparison.folds) == 1:
        sentences.append(f"Only one test fold ({comparison.folds[0]}): the scores rest on the few people in it.")
    means, floor = comparison.means()[AVERAGE], float(comparison.floor()[AVERAGE])
    below = [method_title(str(name)) for name, value in means.items() if value < floor]
    if below:
        sentences.append(
            f"{', '.join(below)}: average F1 below that of a predictor that finds every AU in every image "
            f"({100 * floor:.1f})."
        )
    return sentences + _of_differences(comparison)


def _of_differences(comparison: Comparison) -> list[str]:
    differences = comparison.differences()
    if differences.empty:
        return []
    sentences = []
    averages = differences.xs(AVERAGE, level="au")
    unclear = averages[~((averages["low"] > 0) | (averages["high"] < 0))]
    if len(unclear):
        names = ", ".join(method_title(str(name)) for name in unclear.index)
        sentences.append(
            f"The difference in average F1 to {method_title(comparison.reference)} may be chance for: {names}."
        )
    intervals = int(differences["low"].notna().sum())
    if intervals >= 20:
        sentences.append(
            f"There are {intervals} intervals of 95 % (methods times AUs), not corrected for their number: about "
            f"{round(intervals / 20)} would leave out zero by chance alone."
        )
    return sentences


def _saturated(runs: Sequence[Path]) -> list[str]:
    stuck = []
    for run in runs:
        try:
            table = read_metrics(run)
        except InputError:
            continue
        if "raw_weight_saturated" not in table:
            continue
        shares = table["raw_weight_saturated"].dropna()
        if len(shares) and float(shares.iloc[-1]) > 0.5:
            stuck.append(run.name)
    if not stuck:
        return []
    return [
        f"At the end most raw sample weights were stuck near 0 or 1, the meta network learned no more: {_few(stuck)}."
    ]


def _unlike(runs: Sequence[Path]) -> list[str]:
    """Settings and environments in which runs differ although they should not."""
    sentences = []
    settings = [settings_of(run) for run in runs]
    parts = tuple(f"{part}." for part in _METHOD_PARTS)
    names = [n for n in dict.fromkeys(k for own in settings for k in own) if n.startswith(parts) and n not in PER_RUN]
    differ = [name for name in names if len({str(own.get(name)) for own in settings}) > 1]
    if differ:
        sentences.append(f"The runs do not share all settings: {', '.join(differ)} (see Settings).")
    by_method: dict[str, set[str]] = {}
    for run, own in zip(runs, settings, strict=True):
        kept = {k: v for k, v in own.items() if k not in PER_RUN and not k.startswith(parts)}
        by_method.setdefault(read_run_name(run).method, set()).add(str(kept))
    mixed = [method_title(name) for name, kinds in by_method.items() if len(kinds) > 1]
    if mixed:
        sentences.append(f"Runs under one name have different options of their method: {', '.join(mixed)}.")
    places = [environment_of(run) for run in runs]
    differ = [
        name for name in dict.fromkeys(k for own in places for k in own) if len({str(o.get(name)) for o in places}) > 1
    ]
    if differ:
        sentences.append(f"The runs were made in different environments: {', '.join(differ)} (see Environment).")
    return sentences


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _short(folder: Any) -> Any:
    """The last two names of a path: enough to tell folders apart, and nothing about the machine."""
    if isinstance(folder, list):
        return [_short(one) for one in folder]
    return "/".join(Path(folder).parts[-2:]) if isinstance(folder, str) and Path(folder).is_absolute() else folder
