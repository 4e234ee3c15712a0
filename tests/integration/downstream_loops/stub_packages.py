"""The real classes of downstream libraries, without their compiled dependencies.

The ``__init__`` files of their packages import mmcv's compiled ops, or all of the
library. So the unchanged file of a class is imported from the released wheel through
stub packages: modules with the real ``__path__`` that do not run ``__init__``. A
stub package has only the names that such a file imports from it; these come from the
library's own files.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import types
import warnings
from importlib.machinery import ModuleSpec

#: Stub package -> name in it -> the module with this name; outer packages first.
REEXPORTS = {
    # Its `__init__` imports the same, and a compiled mmcv.
    "mmocr": {"digit_version": "mmengine.utils"},
    "mmocr.utils": {"ConfigType": "mmocr.utils.typing_utils"},
    "mmdet.utils": {"ConfigType": "mmdet.utils.typing_utils"},
    "mmpose.datasets.datasets": {},
    "mmagic.utils": {"all_to_tensor": "mmagic.utils.img_utils"},
    "mmagic.evaluation": {},
    "mmagic.evaluation.metrics": {},
    "mmrazor.engine.runner.utils": {
        "CalibrateBNMixin": "mmrazor.engine.runner.utils.calibrate_bn_mixin"
    },
    "mmrazor.models": {
        "register_torch_fake_quants": "mmrazor.models.fake_quants",
        "register_torch_observers": "mmrazor.models.observers",
    },
    "mmrazor.structures": {},
}


def real(library, module, name):
    """Return a class of a library; None if the library is not installed.

    Args:
        library (str): The name that is imported, as ``mmaction``.
        module (str): The module that defines the class.
        name (str): The name of the class.
    """
    if library not in _libraries():
        return None
    with warnings.catch_warnings():
        # Warnings of the libraries are not tested here.
        warnings.simplefilter("ignore")
        _stub_package(module.rpartition(".")[0])
        return getattr(importlib.import_module(module), name)


@functools.lru_cache(maxsize=None)
def _libraries():
    """Return the installed libraries; prepare them in one order for all tests."""
    names = ["mmpretrain", "mmdet", "mmpose", "mmaction", "mmocr", "mmagic", "mmrazor"]
    installed = [name for name in names if importlib.util.find_spec(name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "mmpretrain" in installed:
            # Really imported, as mmcv-lite is enough for it. It comes first, as it
            # tries to import mmdet, which a stub package would pretend to be.
            importlib.import_module("mmpretrain.engine")
        for name in REEXPORTS:
            if name.partition(".")[0] in installed:
                _stub_package(name)
        if "mmrazor" in installed:
            _stub_mmrazor()
    return installed


def _stub_package(name):
    """Replace a package and its parents by stub packages."""
    if name in sys.modules:
        return
    outer, _, last = name.rpartition(".")
    module = types.ModuleType(name)
    if outer:
        _stub_package(outer)
        module.__path__ = [f"{path}/{last}" for path in sys.modules[outer].__path__]
        setattr(sys.modules[outer], last, module)
    else:
        spec = importlib.util.find_spec(name)
        module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    sys.modules[name] = module
    for attribute, source in REEXPORTS.get(name, {}).items():
        _stub_package(source.rpartition(".")[0])
        value = getattr(importlib.import_module(source), attribute)
        setattr(module, attribute, value)


def _stub_mmrazor():
    """Replace what mmrazor's models, which need compiled ops, would bring."""

    def export_fix_subnet(model, **kwargs):
        return {}, model

    # The real function works on mmrazor's own models only.
    sys.modules["mmrazor.structures"].export_fix_subnet = export_fix_subnet
    registry = importlib.import_module("mmrazor.registry")
    for held in vars(registry).values():
        if hasattr(held, "_imported"):
            # A lookup in an empty registry imports all of mmrazor.
            held._imported = True
