"""One file a subcommand: the only place, beside `config.py`, that knows configuration objects."""
