"""``check_config``: whether a config gets a validation loss, from which data."""

from __future__ import annotations

import copy
from typing import Any, List, Mapping, NamedTuple, Optional, Set, Tuple

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from valloss_compat import _config
from valloss_compat._libraries import models
from valloss_compat._libraries.pipelines import training_transforms
from valloss_compat._loss_forward.loss_data import data_for_losses
from valloss_compat._loss_forward.validation_pass import LossSource
from valloss_compat._recording.accumulator import EpochAccumulators, means_with_total
from valloss_compat._recording.loss_element import (
    explain_missing_element,
    extract_losses,
)
from valloss_compat.errors import UnsupportedError


class ConfigCheck(NamedTuple):
    """What :func:`check_config` found.

    Attributes:
        verdict (str): ``'accepted'``, ``'rejected'`` or ``'not checked'``.
        text (str): What the self-check found, or why there is no loss and the fix.
        repairs (list[str]): What the loss gets beside the data of the predictions.
    """

    verdict: str
    text: str
    repairs: List[str]


def check_config(config: Mapping[str, Any]) -> ConfigCheck:
    """Check whether ``ValLossHook`` gives a config a validation loss.

    The model is built with random weights. Predictions and loss of one validation
    batch run on it, as the hook does it before a training.

    Args:
        config (dict): A whole config. A ``ValLossHook`` among its hooks is respected;
            without one, its default arguments are checked.

    Returns:
        ConfigCheck: What was found.
    """
    hook = (_config.val_loss_hooks(config) or [{}])[0]
    rejection = models.check_config(config)
    if rejection is not None:
        return ConfigCheck("rejected", str(rejection), [])
    repairs: List[str] = []
    failing = "model and data cannot be built here"
    try:
        with DefaultScope.overwrite_default_scope(_config.scope_of(config)):
            model = _build_model(config)
            train = _config.setting(config.get("train_dataloader"), "dataset")
            validation = config.get("val_dataloader")
            data = data_for_losses(
                *(hook, validation, training_transforms(train)),
                lambda chosen: [_build_loader(chosen or config["val_dataloader"])],
            )
            repairs = data.notes
            failing = "one validation batch cannot be run"
            data.check_frame()
            data.install()
            source = LossSource(model, data, hook.get("strategy", "auto") == "auto")
            found = source.sanity_check()
    except UnsupportedError as error:
        return ConfigCheck("rejected", str(error), repairs)
    except Exception as error:  # of the libraries, or of the user
        text = f"{failing}: {type(error).__name__}: {error}"
        return ConfigCheck("not checked", text, repairs)
    if found is None:
        text = "the validation has no batch, or the model appends a loss element itself"
        return ConfigCheck("not checked", text, repairs)
    return ConfigCheck("accepted", found, repairs)


def reported_losses(config: Mapping[str, Any]) -> Tuple[Optional[Set[str]], str]:
    """Find what a model reports by its own loss element, by one validation batch.

    Args:
        config (dict): A whole config without a ``ValLossHook``.

    Returns:
        tuple[set[str], str]: Names of the losses and of their total, and why there are
        none. None in the place of the names if that could not be found out.

    Raises:
        TypeError: If the loss element is not as the convention has it.
    """
    failing = "model and data cannot be built here"
    try:
        with DefaultScope.overwrite_default_scope(_config.scope_of(config)):
            model = _build_model(config).eval()
            batches = iter(_build_loader(config["val_dataloader"]))
            failing = "one validation batch cannot be run"
            with torch.no_grad():
                result = model.val_step(next(batches))
    except Exception as error:  # of the libraries, or of the user
        return None, f"{failing}: {type(error).__name__}: {error}"
    rest, losses = extract_losses(result)
    if losses is None:
        return set(), explain_missing_element(rest)
    accumulators = EpochAccumulators()
    accumulators.record(losses)
    return set(means_with_total(accumulators.sums(), "val")), ""


def _build_model(config: Mapping[str, Any]) -> Any:
    model = copy.deepcopy(config["model"])
    if config.get("data_preprocessor") is not None:  # as the Runner does
        model.setdefault("data_preprocessor", config["data_preprocessor"])
    return MODELS.build(model)


def _build_loader(config: Any) -> Any:
    """Build a data loader; of several (mmagic), the first."""
    first = config[0] if isinstance(config, (list, tuple)) else config
    return Runner.build_dataloader(copy.deepcopy(first), seed=0)
