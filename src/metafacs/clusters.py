"""Joins a Ray cluster, or starts one on this machine."""

import logging
import os
import re
import socket
from typing import Any

from metafacs.errors import InputError

PATIENCE = 5.0
"""Seconds for a machine to answer; Ray itself tries for minutes and then ends the process."""


def join_ray(address: str | None, cores: int) -> Any:
    """The module `ray`, connected.

    Args:
        address: of a running cluster, "HOST:PORT" or "ray://HOST:PORT"; None takes the one that RAY_ADDRESS names, or
            starts one on this machine that ends with this process.
        cores: of a cluster that is started here.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            "--cluster ray needs the package 'ray', which is not installed; run: pip install 'metafacs[cluster]'"
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    if ray.is_initialized():
        return ray
    address = address or os.environ.get("RAY_ADDRESS")
    where: dict[str, Any] = {"address": address} if address else {"num_cpus": cores, "include_dashboard": False}
    try:
        if host := re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address or ""):
            socket.create_connection((host[1], int(host[2])), PATIENCE).close()
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster at '{address}' ({error}); check --address") from error
    return ray
