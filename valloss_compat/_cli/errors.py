"""What a command raises where it cannot do what it was asked."""

from __future__ import annotations


class CommandError(Exception):
    """Its text goes to stderr, and the exit code is 2.

    Says what was got, what was expected and the fix.
    """
