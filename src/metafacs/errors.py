"""The errors a user can cause; the command line prints their text and exits with status 2."""


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message is the whole story: what was found, where, and what to do about it.
    """
