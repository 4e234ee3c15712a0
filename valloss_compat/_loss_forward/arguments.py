"""What ``ValLossHook`` may be told, and what contradicts."""

from __future__ import annotations

from typing import Any, Collection, Mapping

_STRATEGIES = ("auto", "second_forward", "dataloader")


def check(strategy: Any, on_unsupported: Any, dataloader: Any, trust: Any) -> None:
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
