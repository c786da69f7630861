"""The base of every error that a user can cause."""

from __future__ import annotations


class AvdetectError(Exception):
    """Something that was given cannot be used. The message is one sentence that says what and why.

    The command line catches this class once; programs that embed avdetect may do the same. Anything
    else that is raised is a fault of avdetect.
    """


class InputError(AvdetectError, ValueError):
    """A file or a value that was given cannot be used, or does not fit the others."""
