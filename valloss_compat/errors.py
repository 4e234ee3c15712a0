"""Exceptions and warnings of this package."""

from __future__ import annotations

from typing import NamedTuple


class VallossCompatWarning(UserWarning):
    """A problem with the patches that the user should know about."""


class UnusableMMEngineError(ImportError):
    """mmengine is missing, is another package, or cannot be imported."""


class UnknownMMEngineError(RuntimeError):
    """mmengine has an unknown structure, and the option ``strict`` is set."""


class Rejection(NamedTuple):
    """Why ``ValLossHook`` has no validation loss."""

    component: str  #: What is rejected, as ``'SeesawLoss (head.loss_module)'``.
    reason: str  #: Why its loss would be wrong.
    fix: str  #: How to solve the problem.

    def __str__(self) -> str:
        return f"{self.component}: {self.reason}. Fix: {self.fix}"


class UnsupportedError(RuntimeError):
    """No correct validation loss exists for this model or dataset.

    Args:
        component (str): As of :class:`Rejection`, as are all of these.
        reason (str): Why its loss would be wrong.
        fix (str): How to solve the problem.
    """

    def __init__(self, component: str, reason: str, fix: str) -> None:
        self.rejection = Rejection(component, reason, fix)
        super().__init__(component, reason, fix)

    def __str__(self) -> str:
        return f"ValLossHook has no validation loss: {self.rejection}"


class CommandError(Exception):
    """A command failed: the message goes to stderr, and the exit code is 2."""
