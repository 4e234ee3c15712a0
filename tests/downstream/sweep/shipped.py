"""The configs that the libraries ship, and what kind each is of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, List, NamedTuple, Sequence, Tuple

from mmengine.config import Config

from downstream.oracle import libraries
from downstream.oracle.model import dicts
from downstream.sweep.kinds import LIBRARIES, MODELS, REFUSED, SUPERVISED

#: Libraries whose first level of folders are tasks.
_BY_TASK = ("mmaction", "mmocr", "mmpose")
#: Paths of this machine in a message.
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s'\",:]+/)+")


class Entry(NamedTuple):
    """A line of the table of kinds.

    Attributes:
        library (str): The package that ships the config.
        config (str): Its path below the configs of the library.
        family (str): The folder of its model.
        kind (str): ``'supervised'``, or a name of ``kinds``.
        reason (str): Why it is not supervised; empty if it is.
    """

    library: str
    config: str
    family: str
    kind: str
    reason: str


def files(library: str) -> List[str]:
    """All configs of a library but those that others only derive from."""
    root = libraries.configs(library)
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not any(part.startswith("_base_") for part in parts):
            found.append("/".join(parts))
    return found


def read(library: str, config: str) -> Any:
    """Read a config, without importing what it asks for."""
    path = libraries.configs(library) / config
    return Config.fromfile(str(path), import_custom_modules=False)


def entry(library: str, config: str) -> Tuple[Entry, Any]:
    """The line of a config, and the config; None if it cannot be read."""
    try:
        whole = read(library, config)
        kind, reason = kind_of(library, whole)
    except Exception as error:
        whole, kind, reason = None, "not readable", message(error)
    return Entry(library, config, family(library, config), kind, reason), whole


def family(library: str, config: str) -> str:
    """The folder of a model, with that of its task."""
    folders = Path(config).parts[:-1]
    return "/".join(folders[: 2 if library in _BY_TASK else 1])


def kind_of(library: str, whole: Any) -> Tuple[str, str]:
    """The kind of a config and the reason for it: facts of the config alone."""
    model = whole.get("model")
    if not isinstance(model, dict):
        return "no model", "a part that other configs or tools read"
    parts = [model, *(model.get(name) for name in ("head", "bbox_head"))]
    for name in (_name(part) for part in parts if isinstance(part, dict)):
        for kind, owner, names, reason in MODELS:
            if owner == library and name in names:
                return kind, f"{name}: {reason}"
    for key, kind in (("train", "no training"), ("val", "no validation")):
        dataloader = whole.get(f"{key}_dataloader")
        if not dataloader:
            return kind, f"has no {key}_dataloader"
        if not isinstance(dataloader, dict):
            found = type(dataloader).__name__
            return "not readable", f"its {key}_dataloader is a {found}"
        for owner, name, argument, reason in REFUSED:
            if owner == library and _gives(dataloader, name, argument):
                return kind, f"{name}: {reason}"
    if whole.train_dataloader.get("dataset", {}).get("pipeline") == []:
        return "no training", "its train pipeline is empty"
    if _packs_points_alone(whole.train_dataloader):
        return "no training", "its train pipeline packs no ground truth"
    if "language_model" in model and not _packs_texts(whole.train_dataloader):
        return "no training", "needs texts, which its train pipeline does not pack"
    evaluators = list(dicts(whole.get("val_evaluator")))
    if evaluators and all(_name(one).startswith("Dump") for one in evaluators):
        return "no validation", "its evaluator writes predictions, and compares none"
    views = (model.get("test_cfg") or {}).get("max_testing_views")
    size = whole.val_dataloader.get("batch_size", 1)
    if views and _name(model) == "Recognizer3D" and size > 1:
        reason = f"max_testing_views, with which no batch of {size} can be predicted"
        return "no validation", f"{_name(model)}: {reason}"
    return SUPERVISED, ""


def _packs_texts(dataloader: Any) -> bool:
    return any("text" in inner.get("meta_keys", ()) for inner in dicts(dataloader))


def _packs_points_alone(dataloader: Any) -> bool:
    packed = [
        inner["keys"]
        for inner in dicts(dataloader)
        if "type" in inner and _name(inner) == "Pack3DDetInputs"
    ]
    return bool(packed) and all(keys == ["points"] for keys in packed)


def _gives(dataloader: Any, name: str, argument: str) -> bool:
    return any(
        argument in inner and _name(inner) == name
        for inner in dicts(dataloader)
        if "type" in inner
    )


def message(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {one_line(error)}"[:240]


def one_line(text: Any) -> str:
    """A text in one line, without paths of this machine."""
    lines = [line.strip() for line in str(text).splitlines()]
    return _FOLDERS.sub("", " ".join(line for line in lines if line))


def chosen(names: Sequence[str]) -> List[Tuple[str, str]]:
    """Library and path of all configs, or those of which a name is a part."""
    return [
        (library, config)
        for library in LIBRARIES
        for config in files(library)
        if not names or any(n == library or n in config for n in names)
    ]


def _name(model: Any) -> str:
    name = model.get("type")
    return name if isinstance(name, str) else getattr(name, "__name__", str(name))
