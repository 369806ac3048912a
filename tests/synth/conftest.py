from importlib.util import find_spec

if not (find_spec("anny") and find_spec("warp")):  # the `synth` extra is not installed
    collect_ignore_glob = ["test_*.py"]
