"""What ``doctor`` found."""

from __future__ import annotations

from typing import NamedTuple

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        check (str): What was looked at, as ``'patches'`` or
            ``'config.monitor'``: stays the same between releases.
        severity (str): ``'ok'``, ``'note'`` (worth knowing) or ``'problem'``
            (the validation loss is missing, wrong, or not used as asked).
        text (str): What was found; for a problem also what was expected, and
            the fix.
    """

    check: str
    severity: str
    text: str


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, OK, text)


def note(check: str, text: str) -> Finding:
    """Worth knowing."""
    return Finding(check, NOTE, text)


def problem(check: str, text: str) -> Finding:
    """To be mended."""
    return Finding(check, PROBLEM, text)
