"""Redirect the output of configs and libraries while ``doctor`` runs."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import Iterator, TextIO


@contextlib.contextmanager
def stdout_to_stderr(for_good: bool = False) -> Iterator[TextIO]:
    """Redirect stdout to stderr, also for child processes.

    Args:
        for_good (bool): Whether it stays so: exit handlers of a library may print.

    Yields:
        TextIO: The original stdout.
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
