"""Where the time of one MAL step goes, in forward passes F of its 2 B training images (an MTL step = 3 F).

    python benchmarks/step_parts.py [--backbone resnet34] [--size 112:8] [--threads 1] [--channels-last]

Processor time, median of five steps, parts timed in turn. The last line is what the arithmetic asks for: 13 F.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from metafacs.methods import Setup, lookahead
from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL, MALOptions
from metafacs.methods.tangents import Record
from step_variants import ALPHA, Workload, randomise, sgd

ARITHMETIC = {"forward": 1, "backward, virtual step": 2, "reserved images": 6, "forward mode": 2, "backward, base": 2}


def parts(method: MAL, batches: Any) -> dict[str, float]:
    """Seconds of every part of one step, and of forward mode without the record."""
    seconds = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = part()
        seconds[name] = time.process_time() - start
        return result

    primary, auxiliary = batches["primary"], batches["auxiliary"]
    parameters, record = dict(method.network.named_parameters()), Record()
    losses_at, meta_loss_at = method.joint.replay(primary, auxiliary), method.meta_loss_at(batches["meta"])
    with record:
        feature, losses = timed("forward", lambda: method.joint(primary, auxiliary))
    u = method.weigh(feature.detach(), len(primary))[1].detach()
    step = timed("backward, virtual step", lambda: lookahead.weighted_gradient(losses, parameters, u, True))
    virtual = lookahead._moved(parameters, step, ALPHA)
    at = {**parameters, **virtual}
    v, _ = timed("reserved images", lambda: lookahead._meta_gradient([meta_loss_at], at, list(virtual)))
    timed("forward mode", lambda: lookahead._jvp(losses_at, parameters, v, record))
    timed("forward mode, nothing kept", lambda: lookahead._jvp(losses_at, parameters, v))
    gradient = timed("backward, base", lambda: lookahead.weighted_gradient(losses, parameters, u))
    timed("update", lambda: method.update_base(gradient))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--size", default="112:8", metavar="SIDE:B")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side, b = map(int, options.size.split(":"))
    work = Workload(options.backbone, side, b, b, 4 * b, channels_last=options.channels_last)
    batches = work.batches()
    method = MAL(
        Setup(work.network(), sgd, class_balance(batches["meta"].labels)), MALOptions(alpha=ALPHA, way="forward")
    )
    randomise(method.meta_network)
    steps = [parts(method, batches) for _ in range(6)][1:]
    seconds = {name: statistics.median(step[name] for step in steps) for name in steps[0]}
    mtl = seconds["forward"] + seconds["backward, base"] + seconds["update"]
    print(f"{options.backbone}, {side} px, B = {b}; an MTL step takes {mtl:.3f} s of processor time")
    for name, spent in seconds.items():
        print(f"{name:28} {spent:7.3f} s  {3 * spent / mtl:5.2f} F  (arithmetic: {ARITHMETIC.get(name, '-')})")
    whole = sum(spent for name, spent in seconds.items() if name != "forward mode, nothing kept")
    print(f"{'MAL step':28} {whole:7.3f} s  {3 * whole / mtl:5.2f} F  (arithmetic: {sum(ARITHMETIC.values())})")


if __name__ == "__main__":
    main()
