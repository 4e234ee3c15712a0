"""The libraries side by side in one environment.

mmyolo 0.6.0 and mmocr 1.0.1 assert older releases of mmcv and mmdet than the others
need, mmrotate 1.0.0rc1 imports a name that Python 3.10 dropped, and the wheel of
mmaction2 1.2.0 lacks a folder that it imports. All of them run
once that is lifted, which is done here, for tests alone. So is an attribute that the
predictions of mmdet 3.3.0 read and its SSDHead does not have, and that they raise for
the mask of a box outside of the image, on a CPU alone.
"""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import types
from pathlib import Path
from typing import Any, ClassVar, Iterator, List, Sequence

from mmengine.registry import DefaultScope

#: What the oldest of the asserts accept.
_ACCEPTED = {"mmcv": "2.0.1", "mmdet": "3.1.0"}
_ASSERT = ("mmocr", "mmyolo")
_MISSING = "mmaction.models.localizers.drn"


#: What registers something that a row needs; datasets of mmdet3d need more packages.
_PARTS = {"mmpose": ("models", "codecs", "datasets")}
_count = itertools.count()


def load(library: str, parts: Sequence[str] = ()) -> None:
    """Import a library with all that it registers.

    Args:
        library (str): The package.
        parts (Sequence[str]): Subpackages. Defaults to those of its models.
    """
    if library == "mmdet3d" and not any(isinstance(f, _Absence) for f in sys.meta_path):
        sys.meta_path.append(_Absence())
    with _other_versions() if library in _ASSERT else contextlib.nullcontext():
        if library == "mmaction":
            _stand_in_for_drn()
        if library == "mmyolo" and importlib.util.find_spec("mmrotate"):
            vars(collections)["Sequence"] = collections.abc.Sequence
            importlib.import_module("mmrotate.models")
            importlib.import_module("mmrotate.datasets")
        for part in parts or _PARTS.get(library, ("models",)):
            importlib.import_module(f"{library}.{part}")
    if library == "mmdet":
        _stand_in_for_panopticapi()
    DefaultScope.get_instance(f"oracle-{library}-{next(_count)}", scope_name=library)
    if library == "mmdet":
        importlib.import_module("mmdet.models").SSDHead.loss_cls = None
        _paste_masks_as_on_a_gpu()


def registry(library: str) -> Any:
    """The models of a library."""
    return importlib.import_module(f"{library}.registry").MODELS


def configs(library: str) -> Path:
    """The folder of the configs that a library ships."""
    spec = importlib.util.find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / ".mim" / "configs"


@contextlib.contextmanager
def _other_versions() -> Iterator[None]:
    true = {}
    for name, version in _ACCEPTED.items():
        module = importlib.import_module(name)
        true[name], module.__version__ = module.__version__, version
    try:
        yield
    finally:
        for name, version in true.items():
            sys.modules[name].__version__ = version


def _stand_in_for_drn() -> None:
    if _MISSING in sys.modules:
        return
    for name in (_MISSING, _MISSING + ".drn"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[_MISSING + ".drn"].DRN = None


@functools.lru_cache(maxsize=None)  # once
def _paste_masks_as_on_a_gpu() -> None:
    folder = "mmdet.models.roi_heads.mask_heads"
    module: Any = importlib.import_module(f"{folder}.fcn_mask_head")
    paste = module._do_paste_mask
    module._do_paste_mask = lambda *given, **_: paste(*given, skip_empty=False)


def _stand_in_for_panopticapi() -> None:
    """It is not on PyPI, and transforms of mmdet call one function of it."""
    if "panopticapi" in sys.modules:
        return
    names = ("panopticapi", "panopticapi.utils")
    for name in names:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules[names[1]].rgb2id = _id_of_colour


def _id_of_colour(colour: Any) -> Any:
    """Red is the lowest byte of an id, blue the highest."""
    red, green, blue = (colour[..., n].astype("int32") for n in range(3))
    return red + 256 * green + 256 * 256 * blue


class _Absent(types.ModuleType):
    """Has any class, which can do nothing."""

    __path__: ClassVar[List[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Absence(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that evaluations of mmdet3d import with its datasets."""

    packages = ("nuscenes", "lyft_dataset_sdk")

    def find_spec(self, name: str, *_: Any) -> Any:
        if name.split(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to do."""
