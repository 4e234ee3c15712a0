"""Which adapter judges a model, by the library that its class is of."""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, NamedTuple, Optional

from valloss_compat import _config
from valloss_compat._libraries import components
from valloss_compat._libraries.base import TRUST, Adapter, register, tables_of
from valloss_compat._libraries.components import Part, Pipeline
from valloss_compat._libraries.pipelines import (
    judge_loader,
    of_validation,
    refuse_sampler,
)
from valloss_compat.errors import Rejection, UnsupportedError

__all__ = [
    "Adapter",
    "Look",
    "Part",
    "Rejection",
    "UnsupportedError",
    "adapter_for",
    "judge",
    "look",
    "register",
]


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


class Trusting(Adapter):
    """For a model that the user answers for, all of it."""

    may_draw = True
    may_sync = True

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Nothing is refused."""
        return None

    def shared(self, model: Any) -> List[Any]:
        """Nothing is shared."""
        return []


class Assessment(NamedTuple):
    """What ``ValLossHook`` would say of a model and its data.

    Attributes:
        model (str): The model's class.
        refusals (list[Rejection]): Empty if it would report a loss. Of the model
            first: those hold for any strategy.
        needs_loader (bool): Whether ``strategy='dataloader'`` lifts them all.
    """

    model: str
    refusals: List[Rejection]
    needs_loader: bool


def judge(
    model: Part,
    pipelines: Optional[List[Pipeline]],
    trust: Collection[str] = (),
) -> Assessment:
    """Judge a model and the pipelines of its validation.

    Args:
        model (Part): Built or in a config.
        pipelines (list[Pipeline], optional): None where the losses come from
            a dataloader of their own.
        trust (Collection[str]): As of ``ValLossHook``.
    """
    adapter = adapter_for(model, trust)
    if adapter is None:
        refusal = Rejection(
            str(model),
            f"valloss_compat does not know {model.where}",
            TRUST.format(where=model.to_trust),
        )
        return Assessment(model.where, [refusal], False)
    of_model = adapter.refuse_model(model, trust)
    of_data = None if pipelines is None else adapter.refuse_data(model, pipelines)
    refusals = [refusal for refusal in (of_model, of_data) if refusal is not None]
    return Assessment(model.where, refusals, of_model is None and of_data is not None)


def _with_loader(
    model: Part, dataloader: Any, scope: str, trust: Collection[str]
) -> Assessment:
    """Judge a model and the dataloader that its losses have of their own."""
    seen = judge(model, None, trust)
    adapter = adapter_for(model, trust)
    if dataloader is None or adapter is None:
        return seen
    pipelines = components.pipelines_of(dataloader, scope)
    of_loader = (
        refuse_sampler(dataloader),
        judge_loader(adapter, model, pipelines, trust).refusal,
    )
    refused = [refusal for refusal in of_loader if refusal is not None]
    return seen._replace(refusals=seen.refusals + refused)


def look(config: Mapping[str, Any], trust: Collection[str] = ()) -> Assessment:
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
    for hook in _config.val_loss_hooks(config):
        trust = [*trust, *(hook.get("trust") or ())]
        if hook.get("strategy") == "dataloader":
            model = components.of_config(config["model"], scope)
            return _with_loader(model, hook.get("dataloader"), scope, trust)
    pipelines = of_validation(config, scope)
    return judge(components.of_config(config["model"], scope), pipelines, trust)
