"""The network through `torch.compile`: the same steps of MAL, forward mode included."""

import pytest
import torch
import torch._functorch.config

from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL
from tests.methods.networks import batches, build, small_resnet


@pytest.mark.slow
@pytest.mark.parametrize("back_end, tolerance", [("aot_eager", 0.0), ("inductor", 1e-10)])
def test_steps_are_those_of_the_plain_network(back_end: str, tolerance: float) -> None:
    batch = batches(6, 6, 4, side=32, masked=0.3)
    found = []
    for compiled in (False, True):
        network = small_resnet()
        method = build(MAL, network, class_balance(batch["meta"].labels), alpha=0.3, meta_optimiser="sgd")
        if compiled:
            network.compile(backend=back_end)
        with torch._functorch.config.patch(donated_buffer=False):
            for _ in range(2):
                method.training_step(batch)
        found.append({f"{m}.{k}": v for m, module in method.modules.items() for k, v in module.state_dict().items()})
    plain, other = found
    assert plain.keys() == other.keys()
    assert max(float((plain[name] - other[name]).abs().max()) for name in plain) <= tolerance
