"""The forking process of the tests of this folder: it also has the head model and all that detects in memory.

Importing the head does not start warp, which must not be forked once it runs.
"""

from importlib.util import find_spec

from tests.launcher import PRELOADED, serve

OFTEN = ("metafacs.commands.detect",)
SYNTH = ("facsynth.preload", "metafacs.commands.synth", "metafacs.synth.presets")
AUDIT = ("metafacs.commands.prepare", "metafacs.datasets.audit.report", "matplotlib.figure")

if __name__ == "__main__":
    rendering = SYNTH if find_spec("anny") and find_spec("warp") else ()
    serve((*PRELOADED, *OFTEN, *AUDIT, *rendering))
