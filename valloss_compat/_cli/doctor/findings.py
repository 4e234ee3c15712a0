"""Findings of the ``doctor`` command."""

from __future__ import annotations

from typing import Callable, NamedTuple

OK, NOTE, PROBLEM, UNCHECKED = "ok", "note", "problem", "not checked"


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check (str): Identifier of the check, such as ``'patches'`` or
            ``'config.monitor'``. Stable between releases.
        severity (str): ``'ok'``, ``'note'`` (worth knowing), ``'problem'`` (the
            validation loss is missing, wrong, or not used as configured) or
            ``'not checked'`` (what it takes is not there).
        text (str): The observation. For a problem also the expectation and the fix.
    """

    check: str
    severity: str
    text: str


def _maker(severity: str) -> Callable[[str, str], Finding]:
    return lambda check, text: Finding(check, severity, text)


ok, note, problem, unchecked = map(_maker, (OK, NOTE, PROBLEM, UNCHECKED))
