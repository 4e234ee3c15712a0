"""What this package raises and warns with, apart from the built-in types."""

from __future__ import annotations

from typing import NamedTuple


class VallossCompatWarning(UserWarning):
    """Something about the patches themselves needs the user's attention."""


class UnusableMMEngineError(ImportError):
    """mmengine is missing, is not OpenMMLab's, or cannot be imported.

    A subclass of ``ImportError``, so that code which guards the import of an
    optional package keeps working.
    """


class UnknownMMEngineError(RuntimeError):
    """This mmengine has a shape that no patch knows, and ``strict`` was asked."""


class Rejection(NamedTuple):
    """Why ``ValLossHook`` has no validation loss.

    Attributes:
        component (str): What is rejected: ``'SeesawLoss (head.loss_module)'``.
        reason (str): What would be wrong with the number.
        fix (str): What to do about it.
    """

    component: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.component}: {self.reason}. Way out: {self.fix}"


class UnsupportedError(RuntimeError):
    """There is no right validation loss for this model or these data.

    Args:
        rejection (Rejection): The component, the reason and the fix.
    """

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"ValLossHook has no validation loss: {rejection}")
        self.rejection = rejection


class CommandError(Exception):
    """Its text goes to stderr, and the exit code is 2.

    Says what was got, what was expected and the fix.
    """
