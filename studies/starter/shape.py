"""Warms the backbone up: where the landmarks of rendered faces lie teaches it a face's shape before it learns AUs.

From random weights AUs alone are not learned within a thousand steps: one bit an AU of a small change, among thousands
of people, rooms and cameras. The 68 landmarks, known for every rendered picture, move with those changes and say where
to look.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from metafacs.data.photographic import Changes, photograph, random_changes
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces, Order
from metafacs.data.transforms import Crops, crop, random_crops
from metafacs.files import atomic_file
from metafacs.models.network import Network, build_network
from metafacs.progress import progress_bar
from metafacs.sample import Sample
from metafacs.training.schedule import learning_rate_factor

POINTS = 68
BATCH = 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.02
LOG_EVERY = 50
LOOSE = 0.035
"""Standard deviation that augmentation adds to where a landmark lies, as a share of the side."""
# Which landmark of the iBUG markup takes the place of which when the picture is mirrored.
_ROWS = ((0, 17), (17, 27), (31, 36), (48, 55), (60, 65))
_PAIRS = ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (55, 59), (56, 58), (65, 67))


def warm_up(
    dataset: PreparedDataset,
    out: Path,
    backbone: str,
    options: dict[str, object],
    *,
    resize: int,
    side: int,
    steps: int,
    seed: int,
) -> None:
    """Trains a backbone on landmarks and AUs together and writes its weights, once.

    Args:
        dataset: rendered faces with landmarks; those of the fold "test" are not looked at.
        out: the safetensors file; left as it is if it is there.
        backbone: timm name.
        options: of the backbone.
        resize: side that the images are resized to, pixels.
        side: of the crops, pixels.
        steps: training steps.
        seed: of weights, order and augmentation.
    """
    if out.exists():
        return
    faces, labels, points = _lessons(dataset, resize)
    torch.manual_seed(seed)
    network = build_network(backbone, len(dataset.aus), 0, "scratch", options).to(memory_format=torch.channels_last)
    shape = nn.Linear(network.feature_size, 2 * POINTS)
    learner = torch.optim.AdamW([*network.parameters(), *shape.parameters()], LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    order, middle = Order(len(faces), BATCH, seed, "warm-up"), points.mean(dim=0)
    scale = (points.var(dim=0) + LOOSE**2).sqrt()
    losses: list[tuple[float, float]] = []
    with progress_bar("warming up") as (update, note):
        for step in range(steps):
            for group in learner.param_groups:
                group["lr"] = LEARNING_RATE * learning_rate_factor(step, steps, "cosine", 0.05)
            places = order(step)
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            images, moved = _augmented(faces.images(places), points[places], side, generator)
            target = (moved - middle) / scale
            losses.append(_step(network, shape, learner, images, target, labels[places]))
            if (step + 1) % LOG_EVERY == 0:
                by_shape, by_aus = np.mean(losses[-LOG_EVERY:], axis=0)
                note(f"landmarks {by_shape:.3f}, AUs {by_aus:.3f}")
            update(step + 1, steps)
    weights = {name: value.contiguous() for name, value in network.backbone.state_dict().items()}
    with atomic_file(out) as partial:
        partial.write_bytes(save(weights))  # `save_file` makes files that their owner alone can read


def _lessons(dataset: PreparedDataset, resize: int) -> tuple[Faces, Tensor, Tensor]:
    """Faces outside the test fold, their AU labels (N, A), and their landmarks (N, 68, 2) as shares of the side."""
    rows = np.flatnonzero(dataset.column("fold") != "test")
    faces = Faces(dataset, rows, resize)
    faces.decode_all(1)
    points = torch.from_numpy(np.stack([_points(dataset, int(row)) for row in rows]))
    return faces, torch.from_numpy(dataset.au_labels(dataset.aus)[rows]), points


def _step(
    network: Network, shape: nn.Linear, learner: torch.optim.Optimizer, images: Tensor, target: Tensor, labels: Tensor
) -> tuple[float, float]:
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        out = network(Sample(images))
    by_shape = functional.smooth_l1_loss(shape(out.feature).view(-1, POINTS, 2), target)
    known = ~labels.isnan()
    by_aus = functional.binary_cross_entropy_with_logits(out.au_logits[known], labels[known].float())
    learner.zero_grad()
    (by_shape + by_aus).backward()
    learner.step()
    return float(by_shape.detach()), float(by_aus.detach())


def _points(dataset: PreparedDataset, row: int) -> NDArray[np.float32]:
    """(68, 2) landmarks as shares of the image's side."""
    points = dataset.landmarks(row)
    assert points is not None, "rendered faces have landmarks"
    return (points / float(dataset.card.crop["size"])).astype(np.float32)


def _augmented(images: Tensor, points: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images as in training, and where their landmarks are then, as shares of `side`."""
    count, size = len(images), images.shape[-1]
    crops = random_crops(count, size - side, generator)
    changes = random_changes(count, side, generator)
    cut = photograph(crop(images, crops, side), changes)
    return cut, moved(points, crops, changes, size, side)


def moved(points: Tensor, crops: Crops, changes: Changes, size: int, side: int) -> Tensor:
    """(B, 68, 2) where landmarks lie after augmentation, as shares of `side`; points: shares of `size`."""
    corner = torch.stack([crops.left, crops.top], dim=1)[:, None]
    inside = (points * size - corner) / side
    mirrored = inside[:, mirror()] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    inside = torch.where(crops.flipped[:, None, None], mirrored, inside)
    turn, shift = changes.affine[:, :, :2], changes.affine[:, None, :, 2]
    back = torch.linalg.solve(turn[:, None], (2 * inside - 1 - shift)[..., None])[..., 0]
    return (back + 1) / 2


def mirror() -> list[int]:
    """Number of the landmark that each becomes in a mirrored picture."""
    order = list(range(POINTS))
    for first, end in _ROWS:
        order[first:end] = reversed(order[first:end])
    for one, other in _PAIRS:
        order[one], order[other] = other, one
    return order
