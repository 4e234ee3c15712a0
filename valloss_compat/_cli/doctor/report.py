"""Findings of the ``doctor`` command, and where and how they are printed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import warnings
from typing import Any, Callable, Dict, Iterator, NamedTuple, TextIO

OK, NOTE, PROBLEM, UNCHECKED = "ok", "note", "problem", "not checked"


class Finding(NamedTuple):
    """The result of one check."""

    #: Such as ``'patches'`` or ``'config.monitor'``. Stable between releases.
    check: str
    #: ``'ok'``, ``'note'`` (worth knowing), ``'problem'`` (the validation loss is
    #: missing, wrong, or not used as configured) or ``'not checked'`` (what it takes
    #: is not there).
    severity: str
    #: The observation. For a problem also the expectation and the fix.
    text: str


def _maker(severity: str) -> Callable[[str, str], Finding]:
    return lambda check, text: Finding(check, severity, text)


ok, note, problem, unchecked = map(_maker, (OK, NOTE, PROBLEM, UNCHECKED))


def as_text(document: Dict[str, Any]) -> str:
    """Format the JSON document of ``doctor`` as text."""
    lines = []
    for name, package in document["environment"].items():
        distribution = package.get("distribution")
        suffix = "" if distribution in (None, name) else f" ({distribution})"
        lines.append(f"{name} {package['version']}{suffix}, {package['where']}")
    options = ", ".join(f"{k}={v}" for k, v in document["status"]["options"].items())
    lines += [f"options: {options}", ""]
    for check, severity, text in document["findings"]:
        lines += textwrap.wrap(
            f"[{severity}] {check}: {text}",
            width=max(60, min(100, shutil.get_terminal_size((100, 24)).columns)),
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    severities = [finding.severity for finding in document["findings"]]
    problems, points = severities.count(PROBLEM), severities.count(UNCHECKED)
    verdict = f"{problems or 'no'} problem{'s' * (problems != 1)} found"
    if points:
        verdict += f"; {points} point{'s' * (points != 1)} not checked"
    return "\n".join([*lines, "", verdict])


@contextlib.contextmanager
def stdout_to_stderr(for_good: bool = False) -> Iterator[TextIO]:
    """Redirect stdout to stderr, also for child processes; yield the original stdout.

    ``for_good`` leaves it so, as exit handlers of a library may print.
    """
    stdout = sys.stdout
    if for_good:
        with contextlib.suppress(OSError):  # closed, as by `>&-`
            stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
            os.dup2(2, 1)
        sys.stdout = sys.stderr
        yield stdout
        return
    with contextlib.redirect_stdout(sys.stderr), _redirected(1, 2):
        yield stdout


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Discard stdout, stderr and warnings, also of child processes."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        sink = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        stack.enter_context(_redirected(1, sink.fileno()))
        stack.enter_context(_redirected(2, sink.fileno()))
        yield


@contextlib.contextmanager
def _redirected(descriptor: int, to: int) -> Iterator[None]:
    try:
        before = os.dup(descriptor)
    except OSError:  # closed, as by `>&-`; closed again at the end
        before = -1
    try:
        with contextlib.suppress(OSError):
            os.dup2(to, descriptor)
        yield
    finally:
        if before < 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        else:
            os.dup2(before, descriptor)
            os.close(before)
