"""``check_config``: whether a config gets a validation loss, from which data."""

from __future__ import annotations

import copy
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Set, Tuple

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from valloss_compat import _config
from valloss_compat._libraries import models
from valloss_compat._libraries.pipelines import training_transforms
from valloss_compat._loss_forward.loss_data import data_for_losses
from valloss_compat._loss_forward.validation_pass import LossSource
from valloss_compat._recording import loss_element
from valloss_compat._recording.accumulator import EpochAccumulators, means_with_total
from valloss_compat.errors import UnsupportedError

_FAILING = "{} cannot be built here, which would end a training"


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
    verdict, text = "not checked", _FAILING.format("the model")
    try:
        with DefaultScope.overwrite_default_scope(_config.scope_of(config)):
            model = _build_model(config)
            text = _failing_data(config)
            train = _config.setting(config.get("train_dataloader"), "dataset")
            validation = config.get("val_dataloader")
            data = data_for_losses(
                *(hook, validation, training_transforms(train)),
                lambda chosen: [_build_loader(chosen or config["val_dataloader"])],
            )
            repairs = data.notes
            text = "one validation batch cannot be run"
            data.check_frame()
            data.install()
            source = LossSource(model, data, hook.get("strategy", "auto") == "auto")
            found = source.sanity_check()
    except UnsupportedError as error:
        verdict, text = "rejected", str(error)
    except Exception as error:  # of the libraries, or of the user
        text = _explain(text, error)
    else:
        text = "the validation has no batch, or the model appends a loss element itself"
        if found is not None:
            verdict, text = "accepted", found
    return ConfigCheck(verdict, text, repairs)


def reported_losses(config: Mapping[str, Any]) -> Tuple[Optional[Set[str]], str]:
    """Find what a model reports by its own loss element, by one validation batch.

    Return the names of the losses and of their total, None if they could not be found
    out, and why there are none.

    Raises:
        TypeError: If the loss element is not as the convention has it.
    """
    failing = _FAILING.format("the model")
    try:
        with DefaultScope.overwrite_default_scope(_config.scope_of(config)):
            model = _build_model(config).eval()
            failing = _failing_data(config)
            batches = iter(_build_loader(config["val_dataloader"]))
            failing = "one validation batch cannot be run"
            with torch.no_grad():
                result = model.val_step(next(batches))
    except Exception as error:  # of the libraries, or of the user
        return None, _explain(failing, error)
    rest, losses = loss_element.extract_losses(result)
    if losses is None:
        return set(), loss_element.explain_missing_element(rest)
    accumulators = EpochAccumulators()
    accumulators.record(losses)
    return set(means_with_total(accumulators.sums(), "val")), ""


def _failing_data(config: Mapping[str, Any]) -> str:
    dataset = _config.setting(config.get("val_dataloader"), "dataset")
    kind = _config.setting(dataset, "type")
    return _FAILING.format(f"the validation dataset {kind}")


def _explain(failing: str, error: Exception) -> str:
    text = f"{failing}: {type(error).__name__}: {error}"
    # mmengine ends with the address of its page on registries.
    return re.sub(r" More details can be found at [^\s'\"]+", "", text)


def _build_model(config: Mapping[str, Any]) -> Any:
    model = copy.deepcopy(config["model"])
    if config.get("data_preprocessor") is not None:  # as the Runner does
        model.setdefault("data_preprocessor", config["data_preprocessor"])
    return MODELS.build(model)


def _build_loader(config: Any) -> Any:
    """Build a data loader; of several (mmagic), the first."""
    first = config[0] if isinstance(config, (list, tuple)) else config
    return Runner.build_dataloader(copy.deepcopy(first), seed=0)
