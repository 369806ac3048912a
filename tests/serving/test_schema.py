"""Requests made up from the API's own description: never a server error, always what the description says."""

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402 - after the check that all is there
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance  # noqa: E402

from tests.inference.toys import draw, save_toy  # noqa: E402
from tests.serving.rooms import png, toy_app  # noqa: E402

LONG = 300
"""Requests of each kind in the slow form."""
KINDS = ("proper", "improper", "photo")
"""As the description allows; not as it allows; as it allows, with a photo in the form in place of made-up bytes."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = save_toy(tmp_path_factory.mktemp("toy") / "run")
    return schemathesis.openapi.from_asgi("/openapi.json", toy_app(run, hosts=["testserver"]))


def fuzz(described: Any, kind: str, examples: int) -> Counter[int]:
    """How many requests were answered with each status."""
    answered = Counter[int]()
    photo = png(draw([(60, 40)]))

    @settings(
        max_examples=examples, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: Any) -> None:
        if kind == "photo":
            case.body = {"file": photo}
        answer = case.call()
        answered[answer.status_code] += 1
        # most bytes are no photo; and bytes put in by hand are no JSON string
        passed_over = [positive_data_acceptance, *([negative_data_rejection] if kind == "photo" else [])]
        case.validate_response(answer, excluded_checks=passed_over)

    operations = [operation.ok() for operation in described.get_all_operations()]
    assert len(operations) == 3
    for operation in operations:
        if kind == "proper" or operation.method == "post":  # the others take nothing that could be varied
            mode = GenerationMode.NEGATIVE if kind == "improper" else GenerationMode.POSITIVE
            given(case=operation.as_strategy(generation_mode=mode))(check)()
    return answered


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [25, pytest.param(LONG, marks=pytest.mark.slow)])
def test_made_up_requests_cause_no_server_error(described: Any, kind: str, count: int) -> None:
    answered = fuzz(described, kind, count)
    assert answered.total() >= count and max(answered) < 500
    assert (answered[200] >= count) == (kind == "photo"), answered
