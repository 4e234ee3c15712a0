"""Validation loss for every mmengine release: ``import valloss_compat``.

Importing this package adds the convention of mmengine 0.10.5 (a model appends
``BaseDataElement(loss={...})`` to what ``val_step`` returns; the loop reports
``val_loss``) to the mmengine that is installed. ``VALLOSS_COMPAT=off`` in the
environment makes the import do nothing, ``VALLOSS_COMPAT=parity`` behaves bug
for bug like mmengine 0.10.7. ``python -m valloss_compat`` is the command line.
"""

import os
import sys
from typing import List

from valloss_compat._api import Status, apply, configure, revert, start, status
from valloss_compat._patches.patch import PatchStatus
from valloss_compat._version import __version__
from valloss_compat.errors import (
    UnknownMMEngineError,
    UnusableMMEngineError,
    VallossCompatWarning,
)
from valloss_compat.options import Options

__all__ = [
    "Options",
    "PatchStatus",
    "Status",
    "UnknownMMEngineError",
    "UnusableMMEngineError",
    "VallossCompatWarning",
    "__version__",
    "apply",
    "configure",
    "revert",
    "status",
]


def __dir__() -> List[str]:
    return __all__


def _imported_by_own_cli() -> bool:
    """Whether ``valloss-compat`` or ``python -m valloss_compat`` imports this.

    The latter also under pdb or cProfile. The commands decide for themselves when to
    patch: ``doctor`` reports a missing mmengine in words, ``plot`` needs none, and
    ``run`` waits for the script.
    """
    frame = sys._getframe(2)  # past this function and this module
    while frame.f_back and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    if frame.f_globals.get("__name__") == "__main__":  # a script, or that of pip
        return (
            os.path.splitext(os.path.basename("".join(sys.argv[:1])))[0]
            == "valloss-compat"
        )
    # The function of runpy that imports a package before it runs a module of it.
    return frame.f_locals.get("mod_name") == "valloss_compat.__main__"


if not _imported_by_own_cli():
    start()
