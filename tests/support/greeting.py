"""A class with one method, and a wrapper with a visible effect."""

from __future__ import annotations


def make_base():
    """Return a new class, so that tests do not share patches."""

    class Base:
        def greet(self, name="you"):
            """Say hello."""
            return f"hello {name}"

    return Base


def shout(original, args, kwargs):
    """The wrapper of these tests."""
    return original(*args, **kwargs).upper()
