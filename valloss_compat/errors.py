"""What this package raises and warns with, apart from the built-in types."""

from __future__ import annotations


class VallossCompatWarning(UserWarning):
    """Something about the patches themselves needs the user's attention."""


class UnusableMMEngineError(ImportError):
    """mmengine is missing, is not OpenMMLab's, or cannot be imported.

    A subclass of ``ImportError``, so that code which guards the import of an
    optional package keeps working.
    """


class UnknownMMEngineError(RuntimeError):
    """This mmengine has a shape that no patch knows, and ``strict`` was asked."""
