"""What ValLossHook checks: its arguments, the result of a step, the ranks."""

from __future__ import annotations

from typing import Any, Collection, Mapping

from mmengine.dist import all_gather_object, get_world_size

from valloss_compat._libraries import Rejection
from valloss_compat._recording.loss_element import is_loss_element
from valloss_compat.errors import UnsupportedError

_STRATEGIES = ("auto", "second_forward", "dataloader")


def check_arguments(
    strategy: Any, on_unsupported: Any, dataloader: Any, trust: Any
) -> None:
    """See that the arguments of the hook can be meant.

    Args:
        strategy: As of ``ValLossHook``, as are all of these.
        on_unsupported: What happens where something is refused.
        dataloader: Of the losses.
        trust: Names of classes.

    Raises:
        ValueError: If an option is not known or contradicts another.
    """
    if strategy not in _STRATEGIES:
        raise ValueError(
            f"strategy is {strategy!r}, but one of {_STRATEGIES} is expected"
        )
    if on_unsupported not in ("error", "warn"):
        raise ValueError(
            f"on_unsupported is {on_unsupported!r}, but 'error' or 'warn' is expected"
        )
    if (strategy == "dataloader") != (dataloader is not None):
        raise ValueError(
            f"strategy is {strategy!r} and dataloader is "
            f"{'None' if dataloader is None else 'given'}, but a dataloader is "
            "for strategy='dataloader', which needs one"
        )
    if dataloader is not None:
        _check_dataloader(dataloader)
    if isinstance(trust, str):
        raise ValueError(
            f"trust is {trust!r}, but a list of names is expected: [{trust!r}]"
        )
    if trust is not None and not isinstance(trust, Collection):
        raise ValueError(
            f"trust is {trust!r}, but a list of full names of classes is expected: "
            "['my.module.Model']"
        )
    for name in trust or ():
        if "." not in str(name):
            raise ValueError(
                f"trust names {name!r}, but the full name of a class is expected, with "
                f"its module: 'my.module.{name}'"
            )
        if str(name).startswith("my.module."):
            raise ValueError(
                f"trust names {name!r}, but 'my.module' stands for the module that "
                "the class is defined in: give that one"
            )


def _check_dataloader(dataloader: Any) -> None:
    if isinstance(dataloader, Mapping):
        lacking = [key for key in ("dataset", "sampler") if key not in dataloader]
        if lacking:
            raise ValueError(
                f"dataloader has the entries {list(dataloader)}, but no "
                f"{' and no '.join(lacking)}: as val_dataloader it needs "
                "dataset=dict(type=..., pipeline=[...]) and "
                "sampler=dict(type='DefaultSampler', shuffle=False)"
            )
    elif not hasattr(dataloader, "dataset") or not hasattr(dataloader, "sampler"):
        raise ValueError(
            f"dataloader is a {type(dataloader).__name__}, but a config as "
            "val_dataloader or a torch DataLoader is expected"
        )


def already_there(result: Any, name: str, another: bool) -> str:
    """See that an element can be appended, and is not there already.

    Args:
        result: What ``val_step`` returned.
        name (str): Of the model's class.
        another (bool): Whether another ``ValLossHook`` of the run is at work.

    Returns:
        str: Whose element is there; empty where there is none.

    Raises:
        UnsupportedError: If the result is no list.
    """
    if not isinstance(result, (list, tuple)):
        raise UnsupportedError(
            Rejection(
                name,
                f"its val_step returned a {type(result).__name__}, and a loss "
                "element can be appended to a list only",
                "have forward return a list in mode 'predict'",
            )
        )
    if not result or not is_loss_element(result[-1]):
        return ""
    if another:
        return (
            "there is more than one ValLossHook in this training (one of them of a "
            "base config, perhaps): the first reports the losses by its own options, "
            "and this one does nothing. Leave one in custom_hooks"
        )
    return f"ValLossHook is not needed: {name} appends its loss element itself"


def check_equal_batches(model: Any, dataloader: Any) -> None:
    """Losses that wait for other ranks need as many batches on each.

    Args:
        model (nn.Module): The model, without its wrappers.
        dataloader (DataLoader): That of its losses.

    Raises:
        UnsupportedError: If the ranks differ, on all of them.
    """
    if get_world_size() > 1 and len(set(all_gather_object(len(dataloader)))) > 1:
        raise UnsupportedError(
            Rejection(
                type(model).__name__,
                "its losses wait for all ranks, and the ranks have different "
                "numbers of validation batches",
                "sampler=dict(round_up=True) in the dataloader",
            )
        )
