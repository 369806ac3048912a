# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From my coded recordings to a scored detector
#
# You have videos, and somebody has coded Action Units in some of their frames. This page goes from there to a
# detector and an honest score. It takes about two minutes on two processor cores, because the data are few and
# rendered.
#
# ## Your data
#
# You need a folder with the videos and one table. Here both are rendered: `metafacs synth` makes the videos of 27
# people who do not exist. Leave this step out when you have your own.

# %%
# !metafacs synth --preset disfa --layout raw --frames 16 --width 320 --out rendered

# %% [markdown]
# The table has one row a frame: the video, the number of the frame, the person, and one column an AU.

# %%
from pathlib import Path

import pandas as pd

coded = pd.read_parquet("rendered/truth.parquet")
coded = coded[coded["path"].str.contains("Left")]
aus = [name for name in coded if name.startswith("AU") and name.endswith("_intensity")]
table = coded[["path", "frame", "subject", *aus]].rename(columns={"path": "video", "subject": "person"})
table.columns = [name.removesuffix("_intensity") for name in table]
Path("rendered/DISFA").rename("study")
table.to_csv("study/codes.csv", index=False)
table.head(3)

# %% [markdown]
# The codes are intensities from 0 to 5. An empty cell means "not coded". A table of 0 and 1 is as good.
#
# ## Prepare
#
# `metafacs prepare table` finds the face in every coded frame, aligns it and cuts it out. `--folds 3` deals the
# *people* into three groups, so that nobody is in two of them. `--present_from 2` says from which intensity an AU
# counts as present.

# %%
# !metafacs prepare table --raw study --out prepared --folds 3 --present_from 2 --size 96

# %% [markdown]
# The audit at the end says what was lost on the way. Read it before you train.
#
# ## Look at it
#
# How often is each AU there, and in how many people? An AU that is shown in 2 % of the frames cannot be learned
# from 400 of them.

# %%
from IPython.display import Image

import metafacs
from metafacs.data.inspection import inspect, montage

faces = metafacs.PreparedDataset.open("prepared")
montage(faces, Path("montage.png"), count=12)
inspect(faces).aus

# %%
Image("montage.png")

# %% [markdown]
# The same as commands:
#
# ```bash
# metafacs inspect prepared --out seen
# metafacs audit prepared
# ```
#
# ## Train
#
# MAL needs a second dataset: pictures of faces with one expression each. There are many of these, and they are
# cheap. Here they are rendered; with your data you would take one of the [real ones](../datasets.md).

# %%
# !metafacs synth fe --images 600 --size 96 --out expressions

# %% [markdown]
# One fold is kept for the test, P1. The settings below are for one minute on a processor: a tiny network from
# random weights. For real work on a GPU leave them out. The defaults are a pretrained ResNet-34 at 224 pixels, for
# 30 epochs.

# %%
from metafacs import DataConfig, LoopConfig, NetworkConfig, OptimiserConfig, TrainConfig

small = dict(
    network=NetworkConfig("test_resnet", "scratch"),
    optimiser=OptimiserConfig(learning_rate=3e-3, schedule="one-cycle"),
    loop=LoopConfig(steps=100, log_every=5),
)
data = DataConfig(
    "prepared",
    "expressions",
    aus="4,6,12,25",
    resize=72,
    side=64,
    batch_primary=16,
    batch_auxiliary=16,
    batch_meta=32,
)
run = metafacs.train(TrainConfig("runs/mal", data, method="mal", **small))

# %% [markdown]
# The same as a command:
#
# ```bash
# metafacs train --method mal --data.primary prepared --data.auxiliary expressions --data.aus 4,6,12,25 --out runs/mal \
#     --data.resize 72 --data.side 64 --data.batch_primary 16 --data.batch_auxiliary 16 --data.batch_meta 32 \
#     --network.backbone test_resnet --network.weights scratch --optimiser.learning_rate 3e-3 \
#     --optimiser.schedule one-cycle --loop.steps 100 --loop.log_every 5
# ```
#
# ## Score
#
# `evaluate` looks at the people of P1, whom the training never saw. `f1_all_positive` is the floor: the F1 of
# saying "present" of every frame. A detector below its floor has learned nothing about that AU.

# %%
run.evaluate().round(3)

# %% [markdown]
# Is it better than training on the AU frames alone? Train that, too, and put both side by side.

# %%
alone = metafacs.train(TrainConfig("runs/stl", data, method="stl", **small))
alone.evaluate()
metafacs.compare([alone, run])

# %% [markdown]
# One fold and one seed cannot say which is better. For that, [compare](own_method.md) over three folds and several
# seeds.
#
# ## Report
#
# One HTML file with tables, curves, settings and cautions. It opens without a network.

# %%
# !metafacs evaluate runs/mal
# !metafacs report runs/stl runs/mal --out report.html

# %% [markdown]
# ## Use it

# %%
detector = run.detector()
seen = detector.detect_video("study/" + table["video"].iloc[0])
seen[["frame", "face", "success", *detector.aus]].head().round(2)

# %% [markdown]
# ```bash
# metafacs detect study/Videos_LeftCamera --model runs/mal --out aus.csv --overlay seen
# ```
