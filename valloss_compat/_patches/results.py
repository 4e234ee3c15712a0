"""Wrappers of what gets a result: evaluators, hooks, augmentation, native helpers."""

from __future__ import annotations

from typing import Any

from valloss_compat._patches.patch import Args, Kwargs, Original
from valloss_compat._recording.accumulator import means_with_total
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.loss_element import extract_losses, is_loss_element
from valloss_compat._recording.recorder import Recorder


def process(recorder: Recorder, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Accumulate the losses of a result: metrics must not see the loss element."""
    batch = args[2] if len(args) > 2 else kwargs.get("data_batch")
    if "data_samples" in kwargs:
        samples = recorder.process(args[0], kwargs["data_samples"], batch)
        kwargs["data_samples"] = samples
    elif len(args) > 1:
        args = (args[0], recorder.process(args[0], args[1], batch), *args[2:])
    return original(*args, **kwargs)


def evaluate(recorder: Recorder, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Add the mean losses to the metrics, once for nested ``super()`` calls."""
    with recorder.evaluation(args[0]) as outermost:
        metrics = original(*args, **kwargs)
    return recorder.report(args[0], metrics) if outermost else metrics


def call_hook(
    recorder: Recorder, original: Original, args: Args, kwargs: Kwargs
) -> Any:
    """Hooks must not see the loss element; what they monitor may be missing.

    A hook of the user may add what another one monitors, so that the metrics are
    checked behind the hooks, also where one of them raised.
    """
    point = args[1] if len(args) > 1 else kwargs["fn_name"]
    if "outputs" in kwargs and point in ("after_val_iter", "after_test_iter"):
        kwargs["outputs"] = recorder.without_losses(kwargs["outputs"])
    elif point == "before_run":
        recorder.log_patches(args[0])
    elif point == "before_train":
        recorder.check_hooks(args[0])
    elif point == "after_val_epoch":
        try:
            return original(*args, **kwargs)
        finally:
            recorder.check_monitors(args[0], kwargs.get("metrics"))
    return original(*args, **kwargs)


def merge_preds(recorder: Any, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Remove the loss elements, which look like the views of one more sample.

    mmengine zips what the model returned for each augmentation. The losses of
    augmented images are not reported: they are not those of the test set.
    """

    def merge(model: Any, data_samples_list: Any, *more: Any, **options: Any) -> Any:
        is_list = isinstance(data_samples_list, (list, tuple))
        last = data_samples_list[-1] if is_list and data_samples_list else None
        if isinstance(last, (list, tuple)) and last and all(map(is_loss_element, last)):
            data_samples_list = data_samples_list[:-1]
        return original(model, data_samples_list, *more, **options)

    return merge(*args, **kwargs)


def update_losses(
    recorder: Recorder, original: Original, args: Args, kwargs: Kwargs
) -> Any:
    """Accumulate where the loop's ``val_loss`` is one of this package.

    A loop with a dict of its own gets the helper of native mmengine, or before 0.10.5
    that of ``parity_recorder``, but only where there is a loss element: it indexes
    ``outputs`` whatever that is (https://github.com/open-mmlab/mmengine/issues/1603).
    """
    outputs = args[0] if args else kwargs["outputs"]
    losses = args[1] if len(args) > 1 else kwargs["losses"]
    if isinstance(losses, EpochLosses):
        return recorder.accumulate(outputs, losses), losses
    if extract_losses(outputs)[1] is None:
        return outputs, losses
    return original(outputs, losses)


def parse_losses(
    recorder: Recorder, original: Original, args: Args, kwargs: Kwargs
) -> Any:
    """Report nothing twice: the losses may be in the metrics of the evaluator."""
    losses = args[0] if args else kwargs["losses"]
    stage = args[1] if len(args) > 1 else kwargs["stage"]
    if isinstance(losses, EpochLosses):
        return {} if losses.reported else means_with_total(losses.sums(), stage)
    return original(losses, stage)
