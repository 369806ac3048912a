"""Requests made up from the API's own description: never a server error, always what the description says."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402 - after the check that all is there
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from metafacs.serving import app as serving  # noqa: E402
from metafacs.serving.limits import Limits  # noqa: E402
from tests.inference.toys import save_toy  # noqa: E402
from tests.serving.rooms import NOTE, toy_detector  # noqa: E402

LONG = 300
"""Requests for each operation in the slow form."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    run = save_toy(tmp_path_factory.mktemp("toy") / "run")
    with serving.served(toy_detector(run), "toy", NOTE, Limits(), page=False, hosts=["testserver"]) as app:
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


def fuzz(described: Any, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # most bytes are no photo

    counted = 0
    for operation in described.get_all_operations():
        case = operation.ok().as_strategy()
        given(case=case)(check)()
        counted += 1
    assert counted == 3


def test_made_up_requests_cause_no_server_error(described: Any) -> None:
    fuzz(described, 25)


@pytest.mark.slow
def test_many_made_up_requests_cause_no_server_error(described: Any) -> None:
    fuzz(described, LONG)
