"""Whether the processes that train together, perhaps on several machines, were given the same."""

from pathlib import Path

import torch
from jsonargparse import Namespace

from metafacs import distributed
from metafacs.commands.parsing import plain
from metafacs.errors import InputError
from metafacs.methods import Method
from metafacs.training.data import TrainingData

_OF_A_MACHINE = {"primary", "auxiliary", "workers", "cache_gib", "device_cache_gib", "device", "threads"}
"""Settings that may differ between machines; data are compared by content, not by path."""


def check_together(
    out: Path, settings: Namespace, method: Method, data: TrainingData, start: int, device: torch.device
) -> None:
    """Compares over all processes what must not differ; trained apart, nothing else would say so.

    Args:
        out: the run folder.
        settings: of the run.
        method: as it starts, with the weights of its networks.
        data: of the run.
        start: steps taken before.
        device: that the processes train on.

    Raises:
        InputError: they were given different settings, data, weights or saved states.
    """
    if distributed.count() == 1:
        return
    groups = {
        name: plain(settings[name]) for name in ("data", "optimiser", "loop", settings.method) if name in settings
    }
    facts: dict[str, object] = {
        "the settings": [
            (settings.method, settings.seed),
            *(
                (name, [item for item in group.items() if item[0] not in _OF_A_MACHINE])
                for name, group in groups.items()
            ),
        ],
        "the contents of the datasets": [dataset.card.faces_sha256 for dataset, _ in data.rows.values()],
        f"the step to start from (all must see the same {out}, on a disk that the machines share)": start,
        "the weights to start from": [
            value.double().sum().item() for module in method.modules.values() for value in module.state_dict().values()
        ],
    }
    unlike = distributed.differing(facts, device)
    if unlike:
        raise InputError(f"the processes that train together do not agree on {', nor on '.join(unlike)}")
