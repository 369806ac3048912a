"""Whether the processes that train together, perhaps on several machines, were given the same."""

from dataclasses import asdict

import torch

from metafacs import distributed
from metafacs.config import TrainConfig
from metafacs.errors import InputError
from metafacs.methods import Method
from metafacs.training.data import TrainingData

_OF_A_MACHINE = {"primary", "auxiliary", "workers", "cache_gib", "device_cache_gib", "device", "threads"}
"""Settings that may differ between machines; data are compared by content, not by path."""


def check_together(config: TrainConfig, method: Method, data: TrainingData, start: int, device: torch.device) -> None:
    """Compares over all processes what must not differ; trained apart, nothing else would say so.

    Args:
        config: of the run.
        method: as it starts, with the weights of its networks.
        data: of the run.
        start: steps taken before.
        device: that the processes train on.

    Raises:
        InputError: they were given different settings, data, weights or saved states.
    """
    if distributed.count() == 1:
        return
    parts = [asdict(part) for part in (config.data, config.optimiser, config.loop, config.options)]
    shared = [{name: value for name, value in part.items() if name not in _OF_A_MACHINE} for part in parts]
    facts: dict[str, object] = {
        "the settings": (config.method, config.seed, shared),
        "the contents of the datasets": [dataset.card.faces_sha256 for dataset, _ in data.rows.values()],
        f"the step to start from (all must see the same {config.out}, on a disk that the machines share)": start,
        "the weights to start from": [
            value.double().sum().item() for module in method.modules.values() for value in module.state_dict().values()
        ],
    }
    unlike = distributed.differing(facts, device)
    if unlike:
        raise InputError(f"the processes that train together do not agree on {', nor on '.join(unlike)}")
