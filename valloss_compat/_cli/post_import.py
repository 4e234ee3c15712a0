"""Patch mmengine when a script imports it, and not before.

Between its first line and its import of mmengine a train script may choose the
number of threads, the devices, or another copy of mmengine: all of that would
come too late if ``run`` imported mmengine first.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable, Dict, Optional, Tuple

_PACKAGE = "valloss_compat"
_SPAWN = "multiprocessing.spawn"
#: The folder with the package: a script's sys.path need not have it.
_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What a spawned child unpickles. Its sys.path is not yet that of its parent.
_IN_CHILD = f"""
import sys
sys.path.append({_FOLDER!r})
try:
    from {__name__} import start
finally:
    sys.path.remove({_FOLDER!r})
start()
"""


def start() -> None:
    """See that mmengine is patched once it has been imported.

    Child processes that :mod:`multiprocessing` spawns do the same, before they
    import the main module of their parent.
    """
    actions = {"mmengine.runner": _patch, _SPAWN: _tell_children}
    sys.meta_path.insert(0, _After(actions))
    sys.meta_path.append(_Fallback())
    forget()
    for name in [known for known in actions if known in sys.modules]:
        actions[name]()


def forget() -> None:
    """Leave ``sys.modules`` as it is without us: a script's own import applies."""
    for name in [known for known in sys.modules if known.split(".")[0] == _PACKAGE]:
        del sys.modules[name]


def _patch() -> None:
    """Import the package, which applies; where it is there, it applies anew.

    While a script's own import of it is under way, or after its ``revert()``, the
    mode is still ``'off'``: then there is nothing to do here.
    """
    package = sys.modules.get(_PACKAGE)
    if package is None:
        importlib.import_module(_PACKAGE)
    elif package.status().mode != "off":
        package.apply()  # mmengine was loaded anew


def _tell_children() -> None:
    """Have each child that is spawned start as this process did."""
    spawn = sys.modules[_SPAWN]
    original = spawn.get_preparation_data
    if original.__module__ == __name__:
        return

    def get_preparation_data(name: str) -> Dict[str, Any]:
        return {_PACKAGE: _Child(), **original(name)}

    spawn.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]


class _Child:
    """Unpickled, it runs a few lines: the first thing that a spawned child does."""

    def __reduce__(self) -> Tuple[Any, ...]:
        return exec, (_IN_CHILD, {"__name__": __name__})


class _Fallback:
    """Finds this package where ``sys.path`` no longer has it."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> Optional[ModuleSpec]:
        return PathFinder.find_spec(name, [_FOLDER]) if name == _PACKAGE else None


class _After:
    """Calls something once a module has been imported.

    Args:
        actions (dict): Full name of a module -> what to call.
    """

    def __init__(self, actions: Dict[str, Callable[[], None]]) -> None:
        self._actions = actions

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> Optional[ModuleSpec]:
        action = self._actions.get(name)
        if action is None:
            return None
        # To look a module up is not to import it, and an import may fail and be tried
        # again: the action stays.
        ours_on = itertools.dropwhile(lambda finder: finder is not self, sys.meta_path)
        for finder in list(ours_on)[1:]:
            if not hasattr(finder, "find_spec"):
                continue
            spec: Optional[ModuleSpec] = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, action)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Loads a module as its own loader does, then calls something.

    Args:
        loader: The module's own loader; the module never sees another one.
        action (Callable): What to call.
    """

    def __init__(self, loader: Any, action: Callable[[], None]) -> None:
        self._loader = loader
        self._action = action

    def __getattr__(self, name: str) -> Any:
        """What else a loader has, for who looks at a spec: source, resources."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        module: Optional[ModuleType] = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._action()
