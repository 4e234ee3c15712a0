"""Whether the entries of a config are of the types that mmengine wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, List, Tuple

from valloss_compat._cli.doctor.findings import Finding, problem

#: Of what type mmengine wants an entry.
_SHAPES: Dict[str, Tuple[type, ...]] = {
    "default_hooks": (dict,),
    "custom_hooks": (list,),
    "train_cfg": (dict,),
    "val_cfg": (dict,),
    "val_dataloader": (dict, list),
    "val_evaluator": (dict, list),
}


def mend(config: Mapping[str, Any]) -> Tuple[List[Finding], Mapping[str, Any]]:
    """Find what is of the wrong type.

    Args:
        config (dict): A whole config.

    Returns:
        tuple: A problem each, and the config with something empty in their place,
        so that the checks can look at the rest.
    """
    found: List[Finding] = []
    mended = dict(config)
    for name, kinds in _SHAPES.items():
        value = config.get(name)
        if value is None or isinstance(value, kinds):
            continue
        mended[name] = kinds[0]()
        shown = " or ".join(f"a {kind.__name__}" for kind in kinds)
        found.append(
            problem(
                "config",
                f"{name} is {value!r:.80}, which is not as mmengine wants it: expected "
                f"is {shown}",
            )
        )
    return found, mended
