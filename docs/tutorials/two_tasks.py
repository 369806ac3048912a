# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # MAL on two tasks of my own
#
# Nothing about MAL is particular to faces. It needs a primary task with few labels, an auxiliary task with many,
# and a few more labels of the primary task in reserve. It learns how much each sample should count.
#
# ## Two tasks
#
# Scikit-learn's digits, 8 x 8 pixels. **Primary:** is the digit 5 or more? There are 60 labels, and 60 in reserve.
# **Auxiliary:** which digit is it? There are 900 labels, but most of them are bad: two thirds of the images are
# faint, and whoever labelled a faint one wrote 9 - d for d. The learner is not told.

# %%
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.set_num_threads(1)  # of a network as small as this, several threads only wait for each other


def split(seed):
    rng = np.random.default_rng(seed)
    images, digits = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    x, digit = torch.tensor(images[order] / 16).float(), torch.tensor(digits[order])
    faint = torch.tensor(rng.random(900) < 2 / 3)
    shown = torch.where(faint[:, None], x[120:1020] / 2, x[120:1020])
    label = torch.where(faint, 9 - digit[120:1020], digit[120:1020])
    primary, reserve, test = ((x[part], digit[part] >= 5) for part in (slice(60), slice(60, 120), slice(1020, None)))
    return primary, reserve, (shown, label), test, faint


# %% [markdown]
# ## A task is a function
#
# It takes the model and a batch, and returns one loss and one feature for each sample. The model, the batch and the
# loss are yours.


# %%
def network():
    body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU())
    return torch.nn.Sequential(body, torch.nn.Linear(64, 10))


def log_odds(logits):
    return logits[:, 5:].logsumexp(1) - logits[:, :5].logsumexp(1)


def is_large(model, batch):  # primary
    images, large = batch
    feature = model[0](images)
    return F.binary_cross_entropy_with_logits(log_odds(model[1](feature)), large.float(), reduction="none"), feature


def which_digit(model, batch):  # auxiliary
    images, digit = batch
    feature = model[0](images)
    return F.cross_entropy(model[1](feature), digit, reduction="none"), feature


# %% [markdown]
# ## Train
#
# `AuxiliaryLearning.step` takes a batch of each task and the reserve, and updates the model and the weights. Beside
# it stands what one would do otherwise: the plain sum of both losses.

# %%
from metafacs import AuxiliaryLearning


def train(seed, learned, steps=300):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    primary, reserve, auxiliary, test, faint = split(seed)
    model = network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    learning = AuxiliaryLearning(model, optimiser, is_large, which_digit, features=64, alpha=0.5, beta=0.01)
    for _ in range(steps):
        first, second = (torch.tensor(rng.integers(size, size=32)) for size in (60, 900))
        few, many = [part[first] for part in primary], [part[second] for part in auxiliary]
        if learned:
            learning.step(few, many, reserve)
        else:
            optimiser.zero_grad()
            (is_large(model, few)[0].mean() / 2 + which_digit(model, many)[0].mean() / 2).backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        right = ((log_odds(model(test[0])) > 0) == test[1]).float().mean().item()
        weights = learning.meta_network(model[0](auxiliary[0]))
    return right, weights, faint


# %%
import pandas as pd

rows = [{"seed": s, "plain sum": train(s, False)[0], "learned weights": train(s, True)[0]} for s in range(4)]
pd.DataFrame(rows).set_index("seed").round(3)

# %% [markdown]
# ## What it learned
#
# The weights tell the faint images, whose labels are wrong, from the clear ones. Nobody said which is which.

# %%
import matplotlib.pyplot as plt

_, weights, faint = train(0, True)
plt.figure(figsize=(7, 2.5))
plt.hist([weights[~faint].numpy(), weights[faint].numpy()], bins=30, label=["clear", "faint, labelled wrongly"])
plt.xlabel("weight before it is normalised")
plt.ylabel("auxiliary images")
plt.legend()
plt.show()

# %% [markdown]
# This setting was chosen to show the effect. Where wrong labels do not mislead the primary task, or the feature
# cannot tell them, weights gain little or nothing: [the numbers](../method.md#your-own-two-tasks).
#
# ```bash
# python examples/two_tasks.py
# ```
#
# runs ten seeds with intervals.
