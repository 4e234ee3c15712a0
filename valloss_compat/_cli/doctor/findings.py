"""Findings of the ``doctor`` command."""

from __future__ import annotations

from typing import NamedTuple

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check (str): Identifier of the check, such as ``'patches'`` or
            ``'config.monitor'``. Stable between releases.
        severity (str): ``'ok'``, ``'note'`` (worth knowing) or ``'problem'``
            (the validation loss is missing, wrong, or not used as configured).
        text (str): The observation. For a problem also the expectation and the fix.
    """

    check: str
    severity: str
    text: str


def ok(check: str, text: str) -> Finding:
    """Create a finding without a problem."""
    return Finding(check, OK, text)


def note(check: str, text: str) -> Finding:
    """Create a finding that is worth knowing."""
    return Finding(check, NOTE, text)


def problem(check: str, text: str) -> Finding:
    """Create a finding that has to be fixed."""
    return Finding(check, PROBLEM, text)
