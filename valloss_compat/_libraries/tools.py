"""Assigners, samplers and coders: what a module has and is no module.

They take part in a loss as much as its modules do, so they are judged by the
same tables. Of a config, all that has a ``type`` is a part; the bricks among
them are left out, as they are of a model that is built.
"""

from __future__ import annotations

from typing import Iterator

from valloss_compat._libraries.facts import BRICKS, Part

#: Entries of a config that name bricks: norms, activations, initial weights.
_BRICK_ENTRIES = {
    "act_cfg",
    "conv_cfg",
    "init_cfg",
    "nms",
    "norm_cfg",
    "roi_layer",
    "upsample_cfg",
}
#: What these define is a setting or a brick, and assigns nothing.
_NO_TOOLS = ("addict", "builtins", "collections", "functools", "numpy", *BRICKS)


def with_tools(model: Part) -> Part:
    """The model, with the tools of its parts among its parts, without bricks.

    Args:
        model (Part): Built or in a config.
    """
    whole = Part(model.path, model.names, model.where, model.source)
    for part in model.parts:
        if part.built:
            whole.parts.extend([part, *_tools(part)])
        elif not _BRICK_ENTRIES.intersection(part.path.split(".")):
            whole.parts.append(part)
    return whole


def _tools(part: Part) -> Iterator[Part]:
    waiting = [(part.path, part.source)]
    seen = {id(part.source)}
    while waiting:
        path, owner = waiting.pop()
        for name, value in vars(owner).items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                library = type(item).__module__.partition(".")[0]
                if library in _NO_TOOLS or hasattr(item, "_modules"):
                    continue
                if id(item) in seen or not hasattr(item, "__dict__"):
                    continue
                seen.add(id(item))
                at, kind = f"{path}.{name}", type(item).__name__
                where = f"{type(item).__module__}.{kind}"
                yield Part(at, (f"{library}.{kind}",), where, item)
                waiting.append((at, item))
