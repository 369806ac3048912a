"""Meta auxiliary learning of two tasks that have nothing to do with faces.

Run: `python examples/two_tasks.py [SEEDS [STEPS]]`.

Scikit-learn's digits, 8 x 8 pixels. Primary task: is the digit 5 or more? There are 60 images that are labelled so, and
60 reserved ones. Auxiliary task: which digit is it? There are 900 such labels, but two thirds of these images are
faint, and whoever labelled the faint ones wrote 9 - d for d. Nobody tells the learner that any labels are wrong. Both
tasks read the same ten logits. Three ways to train: the plain sum of both tasks' losses; the plain sum that trains on
the reserved images too; weights learned with the reserved images.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor, nn

from metafacs import AuxiliaryLearning

LABELLED, RESERVED, AUXILIARY, FAINT, BATCH = 60, 60, 900, 2 / 3, 32
Batch = tuple[Tensor, Tensor]


def small_network() -> nn.Sequential:
    """Images (n, 64) -> features (n, 64) -> logits of the digits (n, 10)."""
    body = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())
    return nn.Sequential(body, nn.Linear(64, 10))


def log_odds(logits: Tensor) -> Tensor:
    """Of "5 or more", (n,)."""
    return logits[:, 5:].logsumexp(1) - logits[:, :5].logsumexp(1)


def is_large(model: nn.Sequential, batch: Batch) -> tuple[Tensor, Tensor]:
    """The primary task: losses (n,) and features (n, 64)."""
    images, large = batch
    feature = model[0](images)
    return F.binary_cross_entropy_with_logits(log_odds(model[1](feature)), large.float(), reduction="none"), feature


def which_digit(model: nn.Sequential, batch: Batch) -> tuple[Tensor, Tensor]:
    """The auxiliary task, likewise."""
    images, digit = batch
    feature = model[0](images)
    return F.cross_entropy(model[1](feature), digit, reduction="none"), feature


def data(seed: int) -> tuple[Batch, Batch, Batch, Batch, Tensor]:
    """Labelled, reserved, auxiliary and test images, and which of the auxiliary ones are faint."""
    rng = np.random.default_rng(seed)
    images, digits = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    x, digit = torch.tensor(images[order] / 16, dtype=torch.float32), torch.tensor(digits[order])
    ends = np.cumsum([LABELLED, RESERVED, AUXILIARY]).tolist()
    labelled, reserved, _, test = zip(x.tensor_split(ends), (digit >= 5).tensor_split(ends), strict=True)
    clear, right = x[ends[1] : ends[2]], digit[ends[1] : ends[2]]
    faint = torch.tensor(rng.random(AUXILIARY) < FAINT)
    auxiliary = torch.where(faint[:, None], clear / 2, clear), torch.where(faint, 9 - right, right)
    return labelled, reserved, auxiliary, test, faint


def draw(batch: Batch, rng: np.random.Generator) -> Batch:
    """A few at random."""
    chosen = torch.tensor(rng.integers(len(batch[0]), size=BATCH))
    return batch[0][chosen], batch[1][chosen]


def train(
    seed: int, steps: int, labelled: Batch, auxiliary: Batch, reserved: Batch | None
) -> tuple[nn.Sequential, nn.Module]:
    """A model and its meta network; trained by the plain sum or, with reserved images, by learned weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = small_network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    learning = AuxiliaryLearning(model, optimiser, is_large, which_digit, features=64, alpha=0.5, beta=0.01)
    for _ in range(steps):
        first, second = draw(labelled, rng), draw(auxiliary, rng)
        if reserved:
            learning.step(first, second, reserved)
        else:
            optimiser.zero_grad()
            (0.5 * is_large(model, first)[0].mean() + 0.5 * which_digit(model, second)[0].mean()).backward()
            optimiser.step()
    return model.eval(), learning.meta_network


@torch.no_grad()
def run(seed: int, steps: int) -> tuple[float, ...]:
    """Accuracy of the three ways; mean raw weights of clear and of faint auxiliary images."""
    labelled, reserved, auxiliary, test, faint = data(seed)
    more = torch.cat([labelled[0], reserved[0]]), torch.cat([labelled[1], reserved[1]])
    accuracies = []
    for images, meta in ((labelled, None), (more, None), (labelled, reserved)):
        with torch.enable_grad():
            model, meta_network = train(seed, steps, images, auxiliary, meta)
        accuracies.append(((log_odds(model(test[0])) > 0) == test[1]).float().mean().item())
    weights = meta_network(model[0](auxiliary[0]))
    return *accuracies, weights[~faint].mean().item(), weights[faint].mean().item()


def main(seeds: int = 10, steps: int = 300) -> None:
    """Prints each seed, and the mean gains with their 95 % intervals."""
    print("accuracy of        plain sum  with the reserve  weighted    weights of clear and of faint images")
    rows = np.array([run(seed, steps) for seed in range(seeds)])
    for seed, (plain, more, weighted, clear, faint) in enumerate(rows):
        print(f"seed {seed:<12} {plain:>11.3f} {more:>17.3f} {weighted:>9.3f} {clear:>11.2f} {faint:.2f}")
    for name, other in (("plain sum", rows[:, 0]), ("plain sum with the reserve", rows[:, 1])):
        gains = rows[:, 2] - other
        half = stats.t.ppf(0.975, seeds - 1) * gains.std(ddof=1) / np.sqrt(seeds)
        print(f"gain over the {name}: {gains.mean():+.3f} ({gains.mean() - half:+.3f} to {gains.mean() + half:+.3f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
