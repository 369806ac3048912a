"""What simulated people agree on: the consistency of the annotators of expressions, and the kappa of two AU coders.

Draws labels only, no pictures: `rafdb`'s plan for the annotators, a recording of BP4D's base rates for the coders.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facsynth.activity import calibrate, draw_latent, draw_temper, intensities
from facsynth.annotators import draw_labelled, draw_panel
from facsynth.coders import code
from facsynth.plans import FePlan
from facsynth.portraits import assign, meant_shares
from facsynth.rig import RIG_AUS
from metafacs.facs import AU_SETS, PRESENT_FROM
from metafacs.files import write_text
from metafacs.synth.presets import preset_plans

IMAGES, PEOPLE, FRAMES, STEP = 3000, 20, 900, 0.04
PERCENTILES = (5, 10, 25, 50, 75, 90)
NOISES = (0.25, 0.5, 1.0)


def consistency() -> dict[str, float]:
    """Percentiles of the share of the majority, and its mean for each cause of doubt."""
    (plan,) = preset_plans("rafdb", None, None, {}, 0.0).values()
    assert isinstance(plan, FePlan)
    panel, wanted, shares = draw_panel(0), assign(plan, 0), meant_shares(plan)
    agreed, causes = np.zeros(IMAGES), np.array([image.cause for image in wanted[:IMAGES]])
    for number, image in enumerate(wanted[:IMAGES]):
        votes = draw_labelled(np.random.default_rng([9, number]), panel, image.expression, image.cause, shares)[1]
        agreed[number] = votes.max() / votes.sum()
    found = {f"percentile {p}": float(np.percentile(agreed, p)) for p in PERCENTILES}
    return found | {f"mean, {cause}": float(agreed[causes == cause].mean()) for cause in np.unique(causes)}


def kappas() -> dict[str, float]:
    """Cohen's kappa on presence of two coders, averaged over BP4D's AUs, by coder noise."""
    rngs = [np.random.default_rng([9, person]) for person in range(PEOPLE)]
    latents = [draw_latent(rng, draw_temper(rng), FRAMES, STEP) for rng in rngs]
    scale = calibrate(latents, {})
    columns = [RIG_AUS.index(au) for au in AU_SETS["bp4d"]]
    found = {}
    for noise in NOISES:
        coded = [
            [code(intensities(latent, scale), noise, rng, STEP)[:, columns] >= PRESENT_FROM for _ in range(2)]
            for latent, rng in zip(latents, rngs, strict=True)
        ]
        one, other = (np.concatenate([pair[k] for pair in coded]) for k in range(2))
        found[f"kappa, noise {noise}"] = float(np.mean([_kappa(one[:, k], other[:, k]) for k in range(len(columns))]))
    return found


def _kappa(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    agreed = (one == other).mean()
    chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float((agreed - chance) / (1 - chance))


def main() -> None:
    """Measures and writes a table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rendered_labels.csv")
    lines = ["figure,value", *(f'"{name}",{value:.3f}' for name, value in (consistency() | kappas()).items())]
    print("\n".join(lines))
    write_text(made.parse_args().out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
