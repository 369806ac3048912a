"""Training through `torch.compile`."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from metafacs.errors import InputError


@contextmanager
def compiled(network: nn.Module) -> Iterator[None]:
    """Within, every pass through `network` is a compiled one; its parameters and their names stay as they are.

    Raises:
        InputError: there is no C++ compiler (on a GPU: no Triton), or what is asked of the network is beyond
            torch.compile, as a derivative of a derivative is.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second
    from torch._functorch import config

    network.compile()
    try:
        with config.patch(donated_buffer=False):  # MAL takes two backward passes through one graph
            yield
    except RuntimeError as error:  # TorchDynamoException is one
        if not isinstance(error, TorchDynamoException) and "torch.compile" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"torch.compile failed ({reason}); leave --loop.compile out") from error
