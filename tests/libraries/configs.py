"""Configs as the libraries ship them, small: what an adapter reads of them."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from valloss_compat._libraries import look

MMDET_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def steps(*kinds: Any) -> List[Dict[str, Any]]:
    """Transforms by their names, or as they are."""
    return [{"type": kind} if isinstance(kind, str) else dict(kind) for kind in kinds]


def config_of(scope: str, model: Any, pipeline: Sequence[Any]) -> Dict[str, Any]:
    """A config with a model and a validation pipeline."""
    dataset = {"type": "SomeDataset", "pipeline": steps(*pipeline)}
    return {
        "default_scope": scope,
        "model": model,
        "val_dataloader": {"dataset": dataset},
    }


def refused(config: Any, **options: Any) -> str:
    """All that is said against a config, as one text."""
    return " | ".join(str(refusal) for refusal in look(config, **options).refusals)
