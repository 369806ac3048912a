# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From photographs and a video to a table and a plot
#
# You have pictures of faces and want to know which Action Units they show. Nothing is trained here. The detector is
# the small one that comes with metafacs: it is **for trying things out, not for measuring people**. With a
# [detector of your own](recordings.md) the calls are the same.
#
# ## A photograph
#
# The photograph is scikit-image's portrait of the astronaut Eileen Collins (NASA, public domain). Any file would
# do.

# %%
import metafacs
from PIL import Image
from skimage.data import astronaut

Image.fromarray(astronaut()).save("astronaut.jpg", quality=95)
detector = metafacs.AUDetector.starter()
photos = detector.detect("astronaut.jpg")
photos[["input", "face", "success", "AU01", "AU04", "AU06", "AU12", "AU12_present"]]

# %% [markdown]
# One row a face. `AU12` is a probability from 0 to 1, `AU12_present` is 1 where it reaches the threshold. A
# probability is not an intensity: 0.9 means "surely there", not "strongly". [All
# columns](../detect.md#reading-the-table).
#
# The same as a command, which also draws what it saw:

# %%
# !metafacs detect astronaut.jpg --out photos.csv --overlay seen

# %%
Image.open("seen/astronaut_aus.png")

# %% [markdown]
# Look at such a picture before you believe a table.
#
# ## A video
#
# The video is rendered: six seconds of a person who does not exist. Leave this step out when you have your own.

# %%
from dataclasses import replace
from pathlib import Path

from facsynth.activity import calibrate
from facsynth.footage import film, write_video
from facsynth.photo import photograph
from facsynth.plans import Clip, Subject, own_au_plan
from facsynth.recording import draw_latents, record

person = Subject("S001", "P1", (Clip("T1", 60),))
plan = replace(own_au_plan(), subjects=(person,), step=0.1)
recording = record(plan, calibrate(draw_latents(plan, seed=3), plan.rates), 3, 0, 0)
shots = film(recording, (360, 480), eyes=0.15).shots()
frames = [photo.jpeg() for photo in photograph(shots, (360, 480), rays=2)]
write_video(Path("session.avi"), frames, (360, 480), rate=10)

# %% [markdown]
# `detect_video` follows people over time: `face` is 1 for the first person, 2 for the second, and so on. A frame
# without a face is a row with `success` 0, so that no frame goes missing.

# %%
video = detector.detect_video("session.avi")
video[["frame", "timestamp", "face", "success", "AU01", "AU04", "AU06", "AU12"]].iloc[::12].round(2)

# %% [markdown]
# It is a pandas table. So a plot is short.

# %%
import matplotlib.pyplot as plt

axes = video.plot("timestamp", ["AU04", "AU06", "AU12"], figsize=(8, 3), ylim=(0, 1))
axes.set(xlabel="seconds", ylabel="probability")
plt.show()
# %% [markdown]
# The same as a command. `--plot` draws every AU, `--faces 1` follows one person only.

# %%
# !metafacs detect session.avi --out session.csv --plot plots --faces 1

# %%
(picture,) = Path("plots").iterdir()
Image.open(picture)

# %% [markdown]
# Here the truth is known, because the video is rendered. Compare the curve of AU12 with what the face does, an
# intensity from 0 to 5.

# %%
from facsynth.rig import RIG_AUS

truth = recording.levels[:, RIG_AUS.index(12)]
axes = video.plot("timestamp", "AU12", figsize=(8, 2.5), ylim=(0, 1.02), label="AU12, detected (probability)")
axes.step(video["timestamp"], truth / 5, where="mid", color="0.6", label="AU12, true (intensity / 5)")
axes.set(xlabel="seconds")
axes.legend()
plt.show()
