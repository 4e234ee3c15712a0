"""The real classes of downstream libraries, without what they need compiled.

Their packages' ``__init__`` files import mmcv's compiled ops, or all of the
library. So the file that holds a class is imported from the released wheel as it
is, through shells: modules with the real ``__path__`` whose ``__init__`` does not
run. A shell holds only the names that such a file takes from it, and these come
from the library's own files.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import types
import warnings
from importlib.machinery import ModuleSpec

#: Shell -> name in it -> the file that has this name; outer packages first.
TAKEN = {
    # Its `__init__` takes the same from mmengine, and asks for a compiled mmcv.
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
    """A class of a library; None where the library is not installed.

    Args:
        library (str): The name that is imported, as ``mmaction``.
        module (str): The module that defines the class.
        name (str): The name of the class.
    """
    if library not in _libraries():
        return None
    with warnings.catch_warnings():
        # Theirs, of parts of them that are not tested here.
        warnings.simplefilter("ignore")
        _shell(module.rpartition(".")[0])
        return getattr(importlib.import_module(module), name)


@functools.lru_cache(maxsize=None)
def _libraries():
    """What is installed, prepared in one order, whichever test comes first."""
    names = ["mmpretrain", "mmdet", "mmpose", "mmaction", "mmocr", "mmagic", "mmrazor"]
    installed = [name for name in names if importlib.util.find_spec(name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "mmpretrain" in installed:
            # The one that is content with mmcv-lite: really imported. First, as it
            # tries whether mmdet can be imported, and a shell can.
            importlib.import_module("mmpretrain.engine")
        for name in TAKEN:
            if name.partition(".")[0] in installed:
                _shell(name)
        if "mmrazor" in installed:
            _stub_mmrazor()
    return installed


def _shell(name):
    """Put shells in the place of a package and of those around it."""
    if name in sys.modules:
        return
    outer, _, last = name.rpartition(".")
    module = types.ModuleType(name)
    if outer:
        _shell(outer)
        module.__path__ = [f"{path}/{last}" for path in sys.modules[outer].__path__]
        setattr(sys.modules[outer], last, module)
    else:
        spec = importlib.util.find_spec(name)
        module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    sys.modules[name] = module
    for taken, source in TAKEN.get(name, {}).items():
        _shell(source.rpartition(".")[0])
        setattr(module, taken, getattr(importlib.import_module(source), taken))


def _stub_mmrazor():
    """What of mmrazor cannot be had without its models, which want compiled ops."""

    def export_fix_subnet(model, **kwargs):
        return {}, model

    # The real one is a few lines, but cuts a subnet out of mmrazor's own models only.
    sys.modules["mmrazor.structures"].export_fix_subnet = export_fix_subnet
    registry = importlib.import_module("mmrazor.registry")
    for held in vars(registry).values():
        if hasattr(held, "_imported"):
            # A look-up in an empty registry imports all of mmrazor.
            held._imported = True
