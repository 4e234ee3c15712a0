"""The whole messages of invalid calls from Python.

A message names the value, the expected one and the fix.
"""

from __future__ import annotations

import re

import pytest
import torch
from mmengine.structures import BaseDataElement
from support.tiny import make_runner, sample

import valloss_compat


def apply(mode):
    return lambda: valloss_compat.apply(mode=mode)


def configure(**options):
    return lambda: valloss_compat.configure(**options)


@pytest.mark.parametrize(
    ("variable", "call", "message"),
    [
        pytest.param(
            "",
            configure(wieghting="sample"),
            "TypeError: configure() got an unexpected keyword argument 'wieghting'",
            id="unknown option",
        ),
        pytest.param(
            "",
            configure(weighting="size"),
            "ValueError: weighting is 'size', but one of batch, sample is expected",
            id="unknown value",
        ),
        pytest.param(
            "",
            apply("native"),
            "ValueError: mode is 'native', but one of default, parity is expected (to "
            "switch off, call revert() or set VALLOSS_COMPAT=off)",
            id="unknown mode",
        ),
        pytest.param(
            "on",
            apply(None),
            "ValueError: the environment variable VALLOSS_COMPAT is 'on': mode is "
            "'on', but one of off, default, parity is expected. Fix: correct or unset "
            "it",
            id="unknown mode in the environment",
        ),
        pytest.param(
            "wieghting=sample",
            configure(),
            "ValueError: the environment variable VALLOSS_COMPAT is "
            "'wieghting=sample': there is no option 'wieghting', only mode, weighting, "
            "sync_dist, strict. Fix: correct or unset it",
            id="unknown option in the environment",
        ),
        pytest.param(
            "parity",
            apply("default"),
            "ValueError: mode is 'default', but the environment says VALLOSS_COMPAT="
            "parity. Fix: unset the variable, or leave the argument out",
            id="mode against the environment",
        ),
        pytest.param(
            "weighting=sample",
            configure(weighting="batch"),
            "ValueError: weighting is 'batch', but the environment says VALLOSS_COMPAT="
            "weighting=sample. Fix: unset the variable, or leave the argument out",
            id="option against the environment",
        ),
        pytest.param(
            "",
            configure(mode="parity", weighting="sample"),
            "ValueError: mode='parity' and weighting='sample' contradict each other: "
            "parity counts by batches, as mmengine does. Fix: mode='default' or "
            "weighting='batch'",
            id="options against each other",
        ),
    ],
)
def test_invalid_option_raises_with_message(monkeypatch, variable, call, message):
    monkeypatch.setenv("VALLOSS_COMPAT", variable)
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    # Python 3.13 appends a suggestion.
    text = re.sub(r"\. Did you mean .*", "", str(error.value))
    assert f"{error.type.__name__}: {text}" == message


LOSS = torch.tensor(1.0)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        pytest.param(
            LOSS,
            "the field `loss` of the loss element is of type Tensor, but a dict of "
            "named losses is expected. Fix: append "
            "BaseDataElement(loss={'loss_cls': tensor, ...})",
            id="no mapping",
        ),
        pytest.param(
            {"loss_cls": "0.5"},
            "loss 'loss_cls' has a value of type str, but a real tensor, a number, or "
            "a list or tuple of tensors is expected. Fix: put a tensor into the loss "
            "element",
            id="value of another type",
        ),
        pytest.param(
            {"loss_cls": [LOSS, 2.0]},
            "loss 'loss_cls' has a value item of type float, but a real tensor, a "
            "number, or a list or tuple of tensors is expected. Fix: convert it with "
            "torch.as_tensor()",
            id="item of another type",
        ),
        pytest.param(
            {3: LOSS},
            "a loss is named 3 of type int, but a str is expected. Fix: rename the key "
            "in the loss dict",
            id="name that is no string",
        ),
    ],
)
def test_invalid_losses_raise_with_message(tmp_path, losses, message):
    """The validation ends with the error."""
    runner = make_runner(tmp_path, lambda *_: [sample(), BaseDataElement(loss=losses)])
    with pytest.raises(TypeError) as error:
        runner.val()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("metainfo", "error_type", "message"),
    [
        pytest.param(
            {},
            ValueError,
            "weighting='sample' needs the number of samples in each batch, but neither "
            "the batch (dict of inputs: Tensor of shape ()) nor the result (list of "
            "Tensor of shape (2,)) has it. Fix: append BaseDataElement(loss=..., "
            "metainfo=dict(batch_size=n)), or choose weighting='batch'",
            id="unknown size",
        ),
        pytest.param(
            {"batch_size": 2.0},
            TypeError,
            "the loss element's metainfo 'batch_size' is 2.0, but a positive int is "
            "expected, the number of samples in this batch",
            id="size that is no int",
        ),
    ],
)
def test_invalid_batch_size_raises_with_message(
    tmp_path, metainfo, error_type, message
):
    valloss_compat.configure(weighting="sample")

    def respond(index, inputs):
        return [torch.zeros(2), BaseDataElement(loss={"loss": 1.0}, metainfo=metainfo)]

    runner = make_runner(tmp_path, respond)
    runner.val_dataloader.collate_fn = lambda items: {"inputs": torch.tensor(0.0)}
    with pytest.raises(error_type) as error:
        runner.val()
    assert str(error.value) == message
