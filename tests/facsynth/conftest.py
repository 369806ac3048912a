from importlib.util import find_spec

import pytest

from facsynth.head import Head, load_head

if not (find_spec("anny") and find_spec("warp")):  # the `synth` extra is not installed
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def head() -> Head:
    return load_head()
