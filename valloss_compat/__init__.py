"""Validation loss for every mmengine release: ``import valloss_compat``.

Importing this package adds the convention of mmengine 0.10.5 (a model appends
``BaseDataElement(loss={...})`` to what ``val_step`` returns; the loop reports
``val_loss``) to the mmengine that is installed. ``VALLOSS_COMPAT=off`` in the
environment makes the import do nothing, ``VALLOSS_COMPAT=parity`` behaves bug
for bug like mmengine 0.10.7. ``python -m valloss_compat`` is the command line.
"""

from valloss_compat._api import apply, configure, revert, start, status
from valloss_compat._importer import by_command
from valloss_compat._status import PatchStatus, Status
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

if not by_command():
    start()
