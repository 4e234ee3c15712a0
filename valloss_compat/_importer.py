"""Who imports this package: a script, or the interpreter that runs its command line.

``python -m valloss_compat`` imports the package before its ``__main__``. Its
commands decide for themselves what they patch, and when: ``doctor`` has to say
in words that mmengine is missing, ``plot`` needs none, and ``run`` leaves it to
the script to import mmengine.
"""

from __future__ import annotations

import sys

#: Name of the module that imports the package in a child that ``run`` started.
CHILD = "valloss_compat._cli.child"


def by_command() -> bool:
    """Whether the package is being imported for its command line.

    Only where the very importer is ``runpy`` as it looks for the module of
    ``python -m``, or code of ``run`` in a child process: never where a script
    or another package imports this one, however it was started itself.
    """
    frame = sys._getframe(2)  # past this function and the package
    while frame.f_back and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    importer = frame.f_globals.get("__name__")
    if importer == "runpy":
        return sys.argv[:1] == ["-m"]  # while it looks for the module
    return importer == CHILD
