"""Importing this loads the head: worker processes are forked off a process that has done so, and share its memory.

It also imports what workers run. It does not start warp, which must not be forked once it runs.
"""

import metafacs.synth.raw.layouts  # noqa: F401
from metafacs.pool import single_thread
from metafacs.synth.head import shared_head
from metafacs.synth.model import require

require("warp")
with single_thread():  # threads do not survive a fork
    shared_head()
