"""The base of every error that a user can cause."""

from __future__ import annotations


class AvdetectError(Exception):
    """An input cannot be used. The message is one sentence that names the input and the cause.

    The command line catches this class once; programs that embed avdetect may do the same. Any
    other exception is a bug in avdetect.
    """


class InputError(AvdetectError, ValueError):
    """An input file or value cannot be used, or does not fit the others."""
