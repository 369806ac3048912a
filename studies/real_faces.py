"""What a detector says of real people: does it see AUs where people show them, and is it quiet where they do not?

    python studies/real_faces.py --real DIR --model RUN --out DIR

No picture here has AU codes. What is known is who smiles and who does not (London set), which expression ten people
voted for (FERPlus, PublicTest part), and which AUs go with an expression. `--real` is a folder with

- `london/`: `NNN_neutral.jpg`, `NNN_smiling.jpg`, `people.csv` and `templates.json` of the Face Research Lab London Set
  (DeBruine & Jones 2017, CC BY 4.0); the first two hand-placed points of a neutral picture are the pupils;
- `fer2013plus.zip`: `FER2013Valid/*.png` and `fer2013new.csv`, as FERPlus's own tool writes them.

The table has, each with a bootstrap interval over people (London) or pictures (FERPlus):

- AUC: how well an AU's logit tells an expression from neutral faces;
- present: the share of neutral London faces on which the detector calls an AU present, in percent;
- rank: Spearman's correlation of the logit with MediaPipe's blendshape within one expression, averaged over the
  expressions: a detector that only reads the expression has 0;
- eyes: how far the worse eye of the finder is from the hand-placed pupil, as a share of the eyes' distance.

MediaPipe's blendshapes stand beside the detector's values. Where faces were found is remembered in `--cache`: numbers
only, no picture. From a training loop: `RealFaces.load(...)` once, then `measure(logits_of, aus, faces, crops)`.
"""

import argparse
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from metafacs.analysis.style import COLUMN, GREY, METHOD_COLOURS, save, style
from metafacs.data.card import EXPRESSIONS
from metafacs.errors import InputError
from metafacs.faces import Face, FaceFinder, Picture, Recipe, align, make_finder
from metafacs.faces.pictures import enlarged, read_picture
from metafacs.facs import au_column, au_title
from metafacs.inference import AUDetector
from metafacs.starter import starter_run

Numbers = NDArray[np.float64]
Logits = Callable[[list[Any]], NDArray[Any]]
"""(N, A) logits of N crops."""

PAIRS = {
    "smile": (12, 6, 25),
    "happiness": (12, 6),
    "surprise": (1, 2, 5, 26),
    "anger": (4, 7, 23, 24),
    "sadness": (1, 4, 15, 17),
    "disgust": (9, 10),
    "fear": (1, 4, 5, 20, 25),
}
"""Expression -> AUs that should tell it from neutral; "smile" is London's, the others are FERPlus's."""
RANKED = (1, 2, 4, 5, 10, 12, 26)
"""AUs whose order within an expression is compared with MediaPipe's."""
SHAPES = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    6: ("cheekSquintLeft", "cheekSquintRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    9: ("noseSneerLeft", "noseSneerRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    17: ("mouthShrugLower",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    24: ("mouthPressLeft", "mouthPressRight"),
    25: ("mouthLowerDownLeft", "mouthLowerDownRight"),
    26: ("jawOpen",),
}
"""AU -> the blendshapes whose mean stands for it."""
AGREED = 5
"""Of ten votes, so many at least must be for one expression."""
RESAMPLES = 400


@dataclass(frozen=True, eq=False)
class RealFaces:
    """Real faces to measure on.

    Attributes:
        table: one row per face: `name`, `source` ("london" or "ferplus"), `expression` (London: "neutral" or "smile"),
            `person`, `sex`, `age`, `ethnicity` (London only), `found`, `error` (of the worse eye, share of the eyes'
            distance; neutral London faces only).
        eyes: (N, 2, 2) the eyes in the picture; NaN where no face was found.
        shapes: (N, blendshapes) MediaPipe's, NaN where it saw no face; no columns without MediaPipe.
        real: the folder of the pictures.
    """

    table: pd.DataFrame
    eyes: Numbers
    shapes: pd.DataFrame
    real: Path

    @classmethod
    def load(cls, real: Path, cache: Path, finder: Mapping[str, Any], most: int = 150) -> "RealFaces":
        """The faces in a folder.

        Args:
            real: the folder, as the module's docstring says.
            cache: where what finders found is remembered.
            finder: as `make_finder` takes it.
            most: pictures of each of FERPlus's expressions, at most; those that most people voted for.

        Raises:
            InputError: something is not there.
        """
        table = pd.concat([_london(real), _ferplus(real, most)], ignore_index=True)
        moved = "_".join(str(share) for share in finder.get("correction", ()))
        eyes = _remembered(cache / f"{finder['name']}_{moved}.csv", table, real, lambda: _eyes_by(make_finder(finder)))
        try:
            shapes = _remembered(cache / "blendshapes.csv", table, real, _blendshapes)
        except InputError as error:
            print(f"without MediaPipe's blendshapes: {error}")
            shapes = pd.DataFrame(index=table.index)
        places = eyes.to_numpy(np.float64).reshape(-1, 2, 2)
        pupils = json.loads((real / "london" / "templates.json").read_text())
        table["found"] = ~np.isnan(places).any(axis=(1, 2))
        table["error"] = [
            _error(place, np.array(pupils[name][:2])) if name in pupils else np.nan
            for name, place in zip(table["name"], places, strict=True)
        ]
        return cls(table, places, shapes, real)

    def crops(self, crop: Callable[[Picture, Face], Any]) -> list[Any]:
        """Every face as a network takes it, None where none was found; made by `crop(picture, face)`."""
        return [
            None if np.isnan(eyes).any() else crop(picture, Face((0.0, 0.0, 0.0, 0.0), 1.0, np.zeros((0, 2)), eyes))
            for picture, eyes in zip(_pictures(self.table, self.real), self.eyes, strict=True)
        ]

    def aligned(self, recipe: Recipe) -> list[Picture | None]:
        """As `crops`, by a recipe alone."""
        return self.crops(lambda picture, face: align(picture, face.eyes, recipe)[0])


def measure(
    logits_of: Logits,
    aus: Sequence[str],
    faces: RealFaces,
    crops: Sequence[Any],
    thresholds: Sequence[float] | None = None,
    resamples: int = RESAMPLES,
    groups: bool = True,
) -> pd.DataFrame:
    """The table of a detector.

    Args:
        logits_of: what the detector says of crops.
        aus: the A AU columns of its logits.
        faces: whose crops they are.
        crops: as `RealFaces.crops` gives them.
        thresholds: (A,) probabilities from which an AU is called present; 0.5 where none are given.
        resamples: of the bootstrap; 0 leaves the intervals out, which is quick.
        groups: also by sex, age and ethnicity.

    Returns:
        `measure` ("auc", "present", "rank", "eyes"), `group` ("all" or as "sex: female"), `expression`, `au` ("mean"
        for the mean of a measure), `value`, `low`, `high`, `n` pictures, `mediapipe` (its value).
    """
    found = np.array([k for k, crop in enumerate(crops) if crop is not None])
    logits = np.full((len(crops), len(aus)), np.nan)
    logits[found] = logits_of([crop for crop in crops if crop is not None])
    limits = np.full(len(aus), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
    own = pd.DataFrame(logits, columns=list(aus))
    present = pd.DataFrame(logits >= np.log(limits / (1 - limits)), columns=list(aus))
    theirs = pd.DataFrame(
        {
            au_column(au): faces.shapes[list(names)].mean(axis=1)
            for au, names in SHAPES.items()
            if len(faces.shapes.columns)
        },
        index=faces.table.index,
    )
    rows = _aucs(faces.table, own, theirs, "all", PAIRS, resamples)
    rows += _present(faces.table, own, present, "all", resamples)
    rows += _ranks(faces.table, own, theirs, resamples)
    rows += _eyes(faces.table, resamples)
    for name, chosen in _groups(faces.table) if groups else ():
        part = faces.table[chosen]
        rows += _aucs(part, own[chosen], theirs[chosen], name, {"smile": PAIRS["smile"]}, resamples)
        rows += _present(part, own[chosen], present[chosen], name, resamples)[-1:]
    return pd.DataFrame(rows)


def _aucs(
    table: pd.DataFrame,
    own: pd.DataFrame,
    theirs: pd.DataFrame,
    group: str,
    pairs: Mapping[str, Sequence[int]],
    resamples: int,
) -> list[dict[str, Any]]:
    rows, drawn, others = [], [], []
    for expression, aus in pairs.items():
        source = "london" if expression == "smile" else "ferplus"
        yes = ((table["source"] == source) & (table["expression"] == expression)).to_numpy()
        no = ((table["source"] == source) & (table["expression"] == "neutral")).to_numpy()
        for au in map(au_column, aus):
            if au not in own:
                continue
            has, lacks = _known(own[au].to_numpy()[yes]), _known(own[au].to_numpy()[no])
            draws = _draws(lambda a, b: auc(a, b), (has, lacks), resamples)
            other = auc(*(_known(theirs[au].to_numpy()[side]) for side in (yes, no))) if au in theirs else np.nan
            rows.append(_row("auc", group, expression, au, auc(has, lacks), draws, len(has) + len(lacks), other))
            if source == "ferplus":
                drawn.append(draws)
                others.append(other)
    if drawn:
        mean = float(np.mean([row["value"] for row in rows if row["expression"] != "smile"]))
        rows.append(_row("auc", group, "", "mean", mean, np.mean(drawn, axis=0), 0, float(np.nanmean(others))))
    return rows


def _present(
    table: pd.DataFrame, own: pd.DataFrame, present: pd.DataFrame, group: str, resamples: int
) -> list[dict[str, Any]]:
    quiet = ((table["source"] == "london") & (table["expression"] == "neutral")).to_numpy() & own.notna().all(axis=1)
    calls = 100.0 * present[quiet].to_numpy(np.float64)
    if not len(calls):
        return []
    rows = [
        _row(
            "present",
            group,
            "neutral",
            au,
            float(calls[:, k].mean()),
            _draws(np.mean, (calls[:, k],), resamples),
            len(calls),
        )
        for k, au in enumerate(map(str, present))
    ]
    each = calls.mean(axis=1)
    return [
        *rows,
        _row("present", group, "neutral", "mean", float(each.mean()), _draws(np.mean, (each,), resamples), len(calls)),
    ]


def _ranks(table: pd.DataFrame, own: pd.DataFrame, theirs: pd.DataFrame, resamples: int) -> list[dict[str, Any]]:
    rows, drawn = [], []
    for au in map(au_column, RANKED):
        if au not in own or au not in theirs:
            continue
        values, draws, count = [], [], 0
        for expression in EXPRESSIONS:
            chosen = ((table["source"] == "ferplus") & (table["expression"] == expression)).to_numpy()
            pair = np.stack([own[au].to_numpy()[chosen], theirs[au].to_numpy()[chosen]], axis=1)
            pair = pair[~np.isnan(pair).any(axis=1)]
            if len(pair) >= 10:
                values.append(spearman(pair))
                draws.append(_draws(spearman, (pair,), resamples))
                count += len(pair)
        if values:
            drawn.append(np.mean(draws, axis=0))
            rows.append(_row("rank", "all", "within", au, float(np.mean(values)), drawn[-1], count))
    if rows:
        mean = float(np.mean([row["value"] for row in rows]))
        rows.append(_row("rank", "all", "within", "mean", mean, np.mean(drawn, axis=0), 0))
    return rows


def _eyes(table: pd.DataFrame, resamples: int) -> list[dict[str, Any]]:
    neutral = (table["source"] == "london") & (table["expression"] == "neutral")
    errors = _known(table.loc[neutral, "error"].to_numpy())
    if not len(errors):
        return []
    within = 100.0 * (errors <= 0.05)
    return [
        _row(
            "eyes",
            "all",
            "neutral",
            "median",
            float(np.median(errors)),
            _draws(np.median, (errors,), resamples),
            len(errors),
        ),
        _row(
            "eyes",
            "all",
            "neutral",
            "within 5 %",
            float(within.mean()),
            _draws(np.mean, (within,), resamples),
            len(errors),
        ),
        *(
            _row("found", "all", source, "percent", 100.0 * float(part["found"].mean()), np.zeros(0), len(part))
            for source, part in ((name, table[table["source"] == name]) for name in ("london", "ferplus"))
        ),
    ]


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Groups of London's people and which rows are theirs."""
    london = (table["source"] == "london").to_numpy()
    for column in ("sex", "ethnicity"):
        for value in sorted(set(table.loc[london, column].dropna())):
            yield f"{column}: {value}", london & (table[column] == value).to_numpy()
    old = table["age"].to_numpy(np.float64) >= 30
    yield "age: below 30", london & ~old & table["age"].notna().to_numpy()
    yield "age: 30 and more", london & old


def auc(has: Numbers, lacks: Numbers) -> float:
    """How often a value of `has` is above one of `lacks`; ties count half.

    Example:
        >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    if not len(has) or not len(lacks):
        return np.nan
    ranks = rankdata(np.concatenate([has, lacks]))[: len(has)]
    return float((ranks.sum() - len(has) * (len(has) + 1) / 2) / (len(has) * len(lacks)))


def spearman(pair: Numbers) -> float:
    """Rank correlation of the two columns of (n, 2); 0 where one is constant."""
    ranks = rankdata(pair, axis=0)
    centred = ranks - ranks.mean(axis=0)
    length = float(np.sqrt((centred**2).sum(axis=0).prod()))
    return float((centred[:, 0] * centred[:, 1]).sum() / length) if length else 0.0


def _draws(statistic: Callable[..., Any], samples: Sequence[NDArray[Any]], resamples: int) -> Numbers:
    """(resamples,) the statistic of samples that are drawn anew with replacement."""
    generator = np.random.default_rng(0)
    return np.array(
        [statistic(*(one[generator.integers(len(one), size=len(one))] for one in samples)) for _ in range(resamples)]
        if all(map(len, samples))
        else []
    )


def _row(
    name: str, group: str, expression: str, au: str, value: float, draws: Numbers, count: int, other: float = np.nan
) -> dict[str, Any]:
    low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
    facts = {"measure": name, "group": group, "expression": expression, "au": au, "value": value}
    return {**facts, "low": float(low), "high": float(high), "n": count, "mediapipe": other}


def _known(values: NDArray[Any]) -> Numbers:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _london(real: Path) -> pd.DataFrame:
    folder = real / "london"
    if not (folder / "people.csv").is_file():
        raise InputError(f"{real} has no london/people.csv; --real is a folder with london/ and fer2013plus.zip")
    people = pd.read_csv(folder / "people.csv", dtype={"face_id": str}).set_index("face_id")
    rows = []
    for path in sorted(folder.glob("*_*.jpg")):
        number, _, kind = path.stem.partition("_")
        person = people.loc[number] if number in people.index else pd.Series(dtype=object)
        facts = {"sex": person.get("face_gender"), "age": person.get("face_age"), "ethnicity": person.get("face_eth")}
        rows.append({"name": path.name, "expression": {"smiling": "smile"}.get(kind, kind), "person": number, **facts})
    return pd.DataFrame(rows).assign(source="london", age=lambda rows: rows["age"].astype(float))


def _ferplus(real: Path, most: int) -> pd.DataFrame:
    path = real / "fer2013plus.zip"
    if not path.is_file():
        raise InputError(f"{real} has no fer2013plus.zip; --real is a folder with london/ and fer2013plus.zip")
    with zipfile.ZipFile(path) as archive:
        votes = pd.read_csv(archive.open("fer2013new.csv"))
    votes = votes[(votes["Usage"] == "PublicTest") & votes["Image name"].notna()].drop_duplicates("Image name")
    kept = []
    for expression in EXPRESSIONS:
        agreed = votes[votes[expression] >= AGREED].sort_values(expression, ascending=False, kind="stable")[:most]
        kept.append(pd.DataFrame({"name": agreed["Image name"], "expression": expression}))
    return pd.concat(kept).assign(source="ferplus")


def _pictures(table: pd.DataFrame, real: Path) -> Iterator[Picture]:
    """The picture of every row."""
    with zipfile.ZipFile(real / "fer2013plus.zip") as archive:
        for name, source in zip(table["name"], table["source"], strict=True):
            if source == "london":
                yield read_picture(real / "london" / name)
            else:
                yield enlarged(read_picture(archive.read(f"FER2013Valid/{name}")))


def _remembered(
    path: Path, table: pd.DataFrame, real: Path, make: Callable[[], Callable[[Picture], dict[str, float]]]
) -> pd.DataFrame:
    """One row of numbers per row of the table; what a cache file lacks is worked out and added to it."""
    known = pd.read_csv(path, index_col="name") if path.is_file() else pd.DataFrame()
    lacking = table[~table["name"].isin(known.index)]
    if len(lacking):
        ask = make()
        print(f"{path.stem}: looking at {len(lacking)} pictures")
        rows = [ask(picture) for picture in _pictures(lacking, real)]
        more = pd.DataFrame(rows, index=pd.Index(lacking["name"], name="name"))
        known = pd.concat([known, more]) if len(known) else more
        path.parent.mkdir(parents=True, exist_ok=True)
        known.to_csv(path, index_label="name")
    return known.loc[table["name"]].reset_index(drop=True)


def _eyes_by(finder: FaceFinder | None) -> Callable[[Picture], dict[str, float]]:
    if finder is None:
        raise InputError("this detector searches no faces; name a finder with --detector")

    def eyes(picture: Picture) -> dict[str, float]:
        faces = finder.find(picture)
        largest = max(faces, key=lambda face: face.box[2] - face.box[0], default=None)
        places = np.full(4, np.nan) if largest is None else largest.eyes.ravel()
        return dict(zip(("right_x", "right_y", "left_x", "left_y"), places.tolist(), strict=True))

    return eyes


def _blendshapes() -> Callable[[Picture], dict[str, float]]:
    from metafacs.faces.centerface import CenterFace
    from metafacs.faces.mediapipe_finder import Mesh, close_up

    finder, mesh = CenterFace(), Mesh(blendshapes=True)
    names = sorted({name for group in SHAPES.values() for name in group})

    def shapes(picture: Picture) -> dict[str, float]:
        faces = finder.find(picture)
        largest = max(faces, key=lambda face: face.box[2] - face.box[0], default=None)
        answer = mesh.seen(picture, close_up(picture) if largest is None else largest.box)[1]
        return {name: answer.get(name, np.nan) for name in names}

    return shapes


def _error(eyes: Numbers, pupils: Numbers) -> float:
    """How far the worse eye is from its pupil, as a share of the pupils' distance; NaN without a face."""
    apart = np.linalg.norm(eyes - pupils, axis=1).max()
    return float(apart / np.linalg.norm(pupils[1] - pupils[0]))


def show(table: pd.DataFrame) -> str:
    """The table as text."""
    lines = []
    for (measured, group, expression), part in table.groupby(["measure", "group", "expression"], sort=False):
        cells = []
        for row in part.to_dict("records"):
            name = au_title(row["au"]) if row["au"].startswith("AU") else row["au"]
            interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2g}, {row['high']:.2g}]"
            beside = "" if np.isnan(row["mediapipe"]) else f" (MediaPipe {row['mediapipe']:.2f})"
            cells.append(f"{name} {row['value']:.3g}{interval}{beside}")
        lines.append(f"{measured:8}{group:22}{expression:10}" + "; ".join(cells))
    return "\n".join(lines)


def draw(table: pd.DataFrame, out: Path) -> list[Path]:
    """The AUCs of a table with intervals, the detector's beside MediaPipe's."""
    rows = table[(table["measure"] == "auc") & (table["group"] == "all")].iloc[::-1]
    with style():
        figure, axes = plt.subplots(figsize=(COLUMN, 0.16 * len(rows) + 0.6), layout="constrained")
        places = np.arange(len(rows))
        axes.axvline(0.5, color=GREY, linewidth=0.8)
        axes.hlines(places, rows["low"], rows["high"], color=METHOD_COLOURS[0], linewidth=1.0)
        axes.plot(rows["value"], places, "o", color=METHOD_COLOURS[0], markersize=3.5, label="detector")
        axes.plot(rows["mediapipe"], places, "D", color=METHOD_COLOURS[1], markersize=3, mfc="none", label="MediaPipe")
        labels = [
            f"{row['expression']} {au_title(row['au'])}" if row["au"] != "mean" else "mean, FERPlus"
            for row in rows.to_dict("records")
        ]
        axes.set(yticks=places, yticklabels=labels, xlim=(0, 1.02), xlabel="AUC against neutral faces")
        axes.legend(loc="lower left")
        files = save(figure, out)
        plt.close(figure)
    return files


def main() -> None:
    """Measures one detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of the real pictures")
    parser.add_argument("--model", type=Path, default=None, help="a run or a detector file; without: the starter")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table and the figure")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/metafacs/real_faces"), help="what finders found")
    parser.add_argument("--detector", default=None, help="what finds faces; without: as the detector's training data")
    parser.add_argument(
        "--most", type=int, default=150, help="pictures of each of FERPlus's expressions, those that most voted for"
    )
    inputs = parser.parse_args()
    finder = {"name": inputs.detector} if inputs.detector else None
    detector = AUDetector.from_run(inputs.model or starter_run(), finder=finder, batch=64)
    faces = RealFaces.load(inputs.real, inputs.cache.expanduser(), detector.finder, inputs.most)

    def logits_of(crops: list[Any]) -> NDArray[np.float32]:
        return np.concatenate([detector.logits(crops[k : k + 64]) for k in range(0, len(crops), 64)])

    table = measure(logits_of, detector.aus, faces, faces.crops(detector.crop), detector.thresholds)
    inputs.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(inputs.out / "real_faces.csv", index=False)
    draw(table, inputs.out / "real_faces")
    print(show(table))


if __name__ == "__main__":
    main()
