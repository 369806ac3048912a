# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A method of my own, compared with the others
#
# A method is one class with one function that must be written: `training_step`. It can lie in a file of yours.
# metafacs stays as it is.
#
# ## The data
#
# Small rendered ones, to be quick: nine people with AU labels in three folds, and 240 faces with an expression each.

# %%
# !metafacs synth au --subjects 9 --frames 24 --aus 4,6,7,10,12 --size 64 --rays 1 --out data/au
# !metafacs synth fe --images 240 --size 64 --rays 1 --out data/fe

# %% [markdown]
# ## The method
#
# An idea to try: expressions help at the start and disturb at the end. So their share of the loss fades to nothing.
# `MTL` has a fixed share, `task_weights`; the new class changes it in every step.

# %%
# %%writefile fading.py
"""MTL in which the expressions count less and less."""

import sys
from dataclasses import dataclass

from metafacs import METHODS
from metafacs.cli import main
from metafacs.methods.base import StepCount
from metafacs.methods.mtl import MTL, MTLOptions


@dataclass(frozen=True)
class FadingOptions(MTLOptions):
    """Options of `Fading`; each becomes a flag, and the text below it the help."""

    power: float = 1.0
    """How fast the share falls: 1 in a straight line, 2 faster at first."""


@METHODS.register("fading")
class Fading(MTL):
    """The share of the expressions falls from `auxiliary_weight` to 0 over the run."""

    Options = FadingOptions

    def __init__(self, setup, options=FadingOptions()):
        super().__init__(setup, options)
        self.modules["done"] = self.done = StepCount()  # saved and restored, so that a killed run goes on rightly

    def plan(self, steps):
        self.steps = steps

    def training_step(self, batch):
        left = 1 - int(self.done.count) / self.steps
        share = self.options.auxiliary_weight * left**self.options.power
        self.task_weights = (1 - share, share)
        self.done.count += 1
        return super().training_step(batch)


if __name__ == "__main__":
    sys.exit(main())

# %% [markdown]
# A method that does more than weigh two losses starts from `Method` in place of `MTL`.
# [`stl.py`](../../src/metafacs/methods/stl.py) is the shortest example,
# [`mal.py`](../../src/metafacs/methods/mal.py) a long one.
#
# ## Compare
#
# Importing the file registers the method. The others get the same data, network and number of steps.

# %%
import fading
import metafacs
from metafacs import DataConfig, LoopConfig, NetworkConfig, OptimiserConfig, TrainConfig

small = dict(
    network=NetworkConfig("test_resnet", "scratch"),
    optimiser=OptimiserConfig(learning_rate=3e-3, schedule="one-cycle"),
    loop=LoopConfig(steps=60, log_every=5),
)
runs = []
for method in ("mtl", "fading", "mal"):
    for fold in ("P1", "P2"):
        data = DataConfig(
            "data/au",
            "data/fe",
            test_fold=fold,
            resize=48,
            side=44,
            batch_primary=16,
            batch_auxiliary=16,
            batch_meta=32,
        )
        run = metafacs.train(TrainConfig(f"runs/{method}_{fold}", data, method=method, **small))
        run.evaluate()
        runs.append(run)

# %%
metafacs.compare(runs)

# %% [markdown]
# With 60 steps on a few people this ranks nothing. For a result take real data, all folds and several seeds.
#
# ## At the command line
#
# The last two lines of the file make it a `metafacs` of its own, with every command and with `--method fading`:

# %%
# !python fading.py train --method fading --fading.power 2 --out runs/faster \
#     --data.primary data/au --data.auxiliary data/fe --data.resize 48 --data.side 44 \
#     --data.batch_primary 16 --data.batch_auxiliary 16 --data.batch_meta 32 \
#     --network.backbone test_resnet --network.weights scratch \
#     --optimiser.learning_rate 3e-3 --loop.steps 60

# %% [markdown]
# Its detector is a plain one: `evaluate`, `compare`, `detect` and `export` need the file no more.

# %%
# !metafacs evaluate runs/faster

# %% [markdown]
# Among metafacs' own methods, a grid of folds and seeds is one command:
#
# ```bash
# metafacs benchmark --methods mtl,mal --folds P1,P2,P3 --seeds 0,1,2 \
#     --data.primary data/au --data.auxiliary data/fe --out grid
# ```
#
# It starts each run as a process of its own, which does not know your file. If your method is to stay, put the file
# into `metafacs/methods`: [how](../../CONTRIBUTING.md#adding-a-method).
