"""The audit of a prepared dataset: does it hold what the published protocol holds, and what went wrong on the way.

`report` puts all checks together and writes them down; each other module looks for one kind of fault.
"""
