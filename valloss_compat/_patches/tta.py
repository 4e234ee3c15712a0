"""Wrapper of test-time augmentation: ``BaseTTAModel.merge_preds``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.loss_element import is_loss_element


def merge_preds(
    _recorder: Any,
    _original: Callable[..., Any],
    model: Any,
    data_samples_list: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Remove the loss elements, which look like the views of one more sample.

    mmengine zips what the model returned for each augmentation. The losses of
    augmented images are not reported: they are not those of the test set.
    """
    is_list = isinstance(data_samples_list, (list, tuple))
    last = data_samples_list[-1] if is_list and data_samples_list else None
    if isinstance(last, (list, tuple)) and last and all(map(is_loss_element, last)):
        data_samples_list = data_samples_list[:-1]
    return _original(model, data_samples_list, *args, **kwargs)
