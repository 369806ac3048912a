"""Importing this loads the head: worker processes are forked off a process that has done so, and share its memory.

It also imports what workers run. It does not start warp, which must not be forked once it runs.
"""

from facsynth.head import shared_head
from facsynth.model import require
from metafacs.pool import single_thread

require("warp")
with single_thread():  # threads do not survive a fork
    shared_head()
