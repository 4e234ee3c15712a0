"""Exceptions and warnings of this package."""

from __future__ import annotations

from typing import NamedTuple


class VallossCompatWarning(UserWarning):
    """A problem with the patches that the user should know about."""


class UnusableMMEngineError(ImportError):
    """mmengine is missing, is another package, or cannot be imported.

    This is an ``ImportError``, so that code which guards the import of an
    optional package keeps working.
    """


class UnknownMMEngineError(RuntimeError):
    """mmengine has an unknown structure, and the option ``strict`` is set."""


class Rejection(NamedTuple):
    """Why ``ValLossHook`` has no validation loss.

    Attributes:
        component (str): The rejected component, such as
            ``'SeesawLoss (head.loss_module)'``.
        reason (str): Why its loss would be wrong.
        fix (str): How to solve the problem.
    """

    component: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.component}: {self.reason}. Way out: {self.fix}"


class UnsupportedError(RuntimeError):
    """No correct validation loss exists for this model or dataset.

    Args:
        rejection (Rejection): The component, the reason and the fix.
    """

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"ValLossHook has no validation loss: {rejection}")
        self.rejection = rejection


class CommandError(Exception):
    """A command failed: the message goes to stderr, and the exit code is 2.

    The message names the given value, the expected one and the fix.
    """
