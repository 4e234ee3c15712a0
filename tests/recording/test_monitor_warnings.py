"""Messages about monitored metrics that are missing."""

from __future__ import annotations

import types

import pytest
from mmengine.hooks import Hook

from valloss_compat._recording.monitor_warnings import (
    explain_missing_metric,
    warn_of_missing_metrics,
)


class AnotherHook(Hook):
    """A hook with an attribute ``monitor`` that can mean anything."""

    monitor = "other_loss"


def test_monitor_of_another_kind_of_hook_is_ignored():
    messages = set()
    runner = types.SimpleNamespace(hooks=[AnotherHook()])
    warn_of_missing_metrics(runner, ["acc"], messages)
    assert messages == set()


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["acc"], "are 'acc'. There is no loss among them: the model appended no"),
        ([], "are none. There is no loss among them"),
        (["loss_b", "acc"], "are 'acc', 'loss_b': monitor one of these"),
    ],
)
def test_message_lists_the_metrics_that_exist(names, text):
    """Without any loss among them, it gives the cause."""
    assert text in explain_missing_metric(None, "val_loss", "EarlyStoppingHook", names)
