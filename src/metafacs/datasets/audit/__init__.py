"""The audit of a prepared dataset: does it hold what the published protocol holds, and what went wrong on the way.

`listed` keeps what a reader found, `report` puts all checks together, `page` shows them.
"""
