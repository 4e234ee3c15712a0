"""Which adapter judges a model, by the library that its class is of."""

from __future__ import annotations

import importlib
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Type

from valloss_compat import _config
from valloss_compat._libraries import facts
from valloss_compat._libraries.base import TRUST, Adapter, Refusal, UnsupportedError
from valloss_compat._libraries.facts import Part, Pipeline
from valloss_compat._libraries.loaders import judge_loader, refuse_sampler
from valloss_compat._libraries.pipelines import of_validation

__all__ = [
    "Adapter",
    "Look",
    "Part",
    "Refusal",
    "UnsupportedError",
    "adapter_for",
    "look",
    "register",
]

#: Library -> the room and class of its adapter, imported when it is asked for.
_ADAPTERS = {
    "mmaction": "valloss_compat._libraries.unsupported:MMAction",
    "mmagic": "valloss_compat._libraries.unsupported:MMagic",
    "mmdet": "valloss_compat._libraries.mmdet:MMDet",
    "mmdet3d": "valloss_compat._libraries.unsupported:MMDet3D",
    "mmocr": "valloss_compat._libraries.unsupported:MMOCR",
    "mmpose": "valloss_compat._libraries.mmpose:MMPose",
    "mmpretrain": "valloss_compat._libraries.mmpretrain:MMPretrain",
    "mmseg": "valloss_compat._libraries.mmseg:MMSeg",
    "mmyolo": "valloss_compat._libraries.unsupported:MMYOLO",
}
_registered: Dict[str, Type[Adapter]] = {}


def register(adapter: Type[Adapter]) -> Type[Adapter]:
    """Add the adapter of a library, or take the place of ours; a decorator.

    Args:
        adapter (type): A subclass of :class:`Adapter` that names its library.
    """
    if not adapter.library:
        raise ValueError(
            f"{adapter.__name__}.library is empty, but the name of a top-level "
            "package is expected: set it to that of the models it knows"
        )
    _registered[adapter.library] = adapter
    return adapter


def adapter_for(model: Part, trust: Collection[str] = ()) -> Optional[Adapter]:
    """The adapter of the library that the class of a model, or a base of it, is of.

    Returns:
        Adapter, optional: None where no library is known. For a model of none
        that is trusted, one without tables.
    """
    for name in model.names:
        found = tables_of(name.rpartition(".")[0])
        if found is not None:
            return found
    return Trusting() if model.trusted(trust) else None


def tables_of(library: str) -> Optional[Adapter]:
    """The adapter of a library, or None."""
    if library in _registered:
        return _registered[library]()
    if library not in _ADAPTERS:
        return None
    room, _, cls = _ADAPTERS[library].partition(":")
    found: Adapter = getattr(importlib.import_module(room), cls)()
    return found


class Trusting(Adapter):
    """For a model that the user answers for, all of it."""

    may_draw = True
    may_sync = True

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Refusal]:
        """Nothing is refused."""
        return None

    def shared(self, model: Any) -> List[Any]:
        """Nothing is shared."""
        return []


class Look(NamedTuple):
    """What ``ValLossHook`` would say of a model and its data.

    Attributes:
        model (str): The model's class.
        refusals (list[Refusal]): Empty if it would report a loss. Of the model
            first: those hold for any strategy.
        needs_loader (bool): Whether ``strategy='dataloader'`` lifts them all.
    """

    model: str
    refusals: List[Refusal]
    needs_loader: bool


def judge(
    model: Part,
    pipelines: Optional[List[Pipeline]],
    trust: Collection[str] = (),
) -> Look:
    """Judge a model and the pipelines of its validation.

    Args:
        model (Part): Built or in a config.
        pipelines (list[Pipeline], optional): None where the losses come from
            a dataloader of their own.
        trust (Collection[str]): As of ``ValLossHook``.
    """
    adapter = adapter_for(model, trust)
    if adapter is None:
        refusal = Refusal(
            str(model),
            f"valloss_compat does not know {model.where}",
            TRUST.format(where=model.to_trust),
        )
        return Look(model.where, [refusal], False)
    of_model = adapter.refuse_model(model, trust)
    of_data = None if pipelines is None else adapter.refuse_data(model, pipelines)
    refusals = [refusal for refusal in (of_model, of_data) if refusal is not None]
    return Look(model.where, refusals, of_model is None and of_data is not None)


def _with_loader(
    model: Part, dataloader: Any, scope: str, trust: Collection[str]
) -> Look:
    """Judge a model and the dataloader that its losses have of their own."""
    seen = judge(model, None, trust)
    adapter = adapter_for(model, trust)
    if dataloader is None or adapter is None:
        return seen
    pipelines = facts.pipelines_of(dataloader, scope)
    of_loader = (
        refuse_sampler(dataloader),
        judge_loader(adapter, model, pipelines, trust).refusal,
    )
    refused = [refusal for refusal in of_loader if refusal is not None]
    return seen._replace(refusals=seen.refusals + refused)


def look(config: Mapping[str, Any], trust: Collection[str] = ()) -> Look:
    """Judge a config, by names alone: nothing is imported or built.

    Args:
        config (dict): A whole config, with ``model``, ``val_dataloader`` and
            ``default_scope``; a ``ValLossHook`` among its hooks, custom or
            default, is taken as it is configured, with the dataloader of its
            losses.
        trust (Collection[str]): Full names of classes that the user answers
            for, beside those of the hook.

    Returns:
        Look: What the hook would say. It may say more once the model is built:
        a config does not show the bases of a class.
    """
    scope = config.get("default_scope") or "mmengine"
    for hook in _config.ours(config):
        trust = [*trust, *(hook.get("trust") or ())]
        if hook.get("strategy") == "dataloader":
            model = facts.of_config(config["model"], scope)
            return _with_loader(model, hook.get("dataloader"), scope, trust)
    pipelines = of_validation(config, scope)
    return judge(facts.of_config(config["model"], scope), pipelines, trust)
