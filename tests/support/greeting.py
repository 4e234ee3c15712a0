"""A class with one method, and a seam that is heard when it is called."""

from __future__ import annotations


def make_base():
    """A new class each time, so that no test sees another's patches."""

    class Base:
        def greet(self, name="you"):
            """Say hello."""
            return f"hello {name}"

    return Base


def shout(original, *args, **kwargs):
    """The seam of these tests."""
    return original(*args, **kwargs).upper()
