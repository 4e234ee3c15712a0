"""What an adapter judges by: models and pipelines, built or in a config.

The hook has a built model, ``doctor`` only a config. Both are shown to an
adapter as the same thing, a :class:`Part`, so that there is one judgement.
No library is imported: classes are told by their names.
"""

from __future__ import annotations

import types
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

from valloss_compat._libraries.part import BRICKS, Part, library_of

__all__ = [
    "BRICKS",
    "Part",
    "Pipeline",
    "of_config",
    "of_model",
    "pipelines_of",
]

#: Entries of a config that name functions and layers, and no parts.
_SETTINGS = ("init_cfg", "norm_cfg", "act_cfg", "conv_cfg")


class Pipeline(Tuple[Part, ...]):
    """The transforms of one dataset, in order.

    Attributes:
        dataset: The dataset, or its config; None where it is not told.
    """

    dataset: Any = None


def of_model(model: Any) -> Part:
    """The model as built.

    Args:
        model (nn.Module): Without its wrappers.
    """
    whole = _of_object(model, "")
    for path, module in model.named_modules():
        if module is not model and library_of(type(module)) not in BRICKS:
            whole.parts.append(_of_object(module, path))
    return whole


def of_config(config: Mapping[str, Any], scope: str) -> Part:
    """The model as configured.

    Args:
        config (dict): The ``model`` of a config.
        scope (str): The ``default_scope`` of the config.
    """
    whole = _of_dict(config, scope, "")
    whole.parts.extend(_within(config, scope, ""))
    return whole


def pipelines_of(dataset: Any, scope: str = "") -> List[Pipeline]:
    """The pipelines of a dataset, those of datasets that it wraps included.

    Args:
        dataset: A dataset as built, or the config of one.
        scope (str): The ``default_scope`` of that config.

    Returns:
        list[Pipeline]: Empty where there is none to be seen. A pipeline in a
        pipeline (of a transform that has ``transforms``) is walked as well.
    """
    found: List[Pipeline] = []
    waiting = [dataset]
    for item in waiting:  # grows while it is walked
        inner = _get(item, "datasets")
        waiting.extend(inner if isinstance(inner, (list, tuple)) else [])
        waiting.extend([_get(item, "dataset")] if _get(item, "dataset") else [])
        pipeline = _get(item, "pipeline")
        pipeline = _get(pipeline, "transforms") or pipeline
        if isinstance(pipeline, (list, tuple)):
            found.append(Pipeline(_transforms(pipeline, scope)))
            found[-1].dataset = item
    return found


def _get(item: Any, name: str) -> Any:
    if isinstance(item, Mapping):
        return item.get(name)
    return getattr(item, name, None)


def _transforms(pipeline: Iterable[Any], scope: str) -> Iterator[Part]:
    for index, item in enumerate(pipeline):
        path = f"pipeline[{index}]"
        if isinstance(item, Mapping):
            yield _of_dict(item, scope, path)
        else:
            yield _of_object(item, path)
        inner = _get(item, "transforms")
        if isinstance(inner, (list, tuple)):
            # Of several branches, each is a list of its own.
            for one in inner:
                yield from _transforms(
                    one if isinstance(one, (list, tuple)) else [one], scope
                )


def _of_object(thing: Any, path: str) -> Part:
    is_function = isinstance(thing, (types.FunctionType, types.BuiltinFunctionType))
    return _of_class(thing if is_function else type(thing), path, thing)


def _of_class(cls: Any, path: str, source: Any) -> Part:
    if not isinstance(cls, type):  # a function, as a transform may be
        name = getattr(cls, "__name__", str(cls))
        where = f"{getattr(cls, '__module__', '?')}.{name}"
        return Part(path, (f"{library_of(cls)}.{name}",), where, source)
    names = tuple(
        f"{library_of(base)}.{base.__name__}"
        for base in cls.__mro__
        if base is not object
    )
    return Part(path, names, f"{cls.__module__}.{cls.__qualname__}", source)


def _of_dict(config: Mapping[str, Any], scope: str, path: str) -> Part:
    kind = config.get("type", "?")
    if not isinstance(kind, str):  # mmengine's new style of config has the class
        return _of_class(kind, path, config)
    scope = config.get("_scope_", scope)
    library = kind.partition(".")[0] if "." in kind else scope
    return Part(path, (f"{library}.{kind.rpartition('.')[2]}",), kind, config)


def _within(config: Any, scope: str, path: str) -> Iterator[Part]:
    items: Iterable[Tuple[Any, Any]] = ()
    if isinstance(config, Mapping):
        scope = config.get("_scope_", scope)
        items = config.items()
    elif isinstance(config, (list, tuple)):
        items = enumerate(config)
    for key, value in items:
        if str(key).endswith(_SETTINGS):
            continue
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and "type" in value:
            yield _of_dict(value, scope, inner)
        yield from _within(value, scope, inner)
