"""The hook around a model that is wrapped or compiled, and in another Runner."""

from __future__ import annotations

import copy
import inspect
import sys

import pytest
import torch
from mmengine import runner as mmengine_runner
from mmengine.registry import MODEL_WRAPPERS
from mmengine.structures import BaseDataElement
from torch import nn

from loss_forward.models import (
    Classifier,
    Predicted,
    expected,
    hook,
    loader,
    make_runner,
)
from loss_forward.oracle import frozen_losses
from valloss_compat._loss_forward.forward import unwrap_model
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine

KNOWN = expected(Classifier())["val_loss"]


def test_the_model_of_a_compiled_one_is_found():
    model, compiled = Classifier(), nn.Module()
    compiled._orig_mod = model
    assert unwrap_model(compiled) is model
    assert unwrap_model(model) is model


def test_the_engine_of_deepspeed_is_rejected_by_name():
    engine = type("Engine", (nn.Module,), {"__module__": "deepspeed.runtime.engine"})
    with pytest.raises(
        UnsupportedError, match=r"engine\.Engine: this wrapper may shard"
    ):
        unwrap_model(engine())


def test_a_wrapper_that_shards_is_rejected_by_its_registry(monkeypatch, tmp_path):
    class Sharded(nn.Module):
        """As MMFullyShardedDataParallel, which needs a process group."""

        def __init__(self, module):
            super().__init__()
            self.module = module

    monkeypatch.setitem(MODEL_WRAPPERS._module_dict, "Sharded", Sharded)
    with pytest.raises(UnsupportedError, match="Sharded: this wrapper may shard the"):
        unwrap_model(Sharded(Classifier()))


def _compiled(function):
    """Compile by the eager backend, which needs no compiler."""
    if not hasattr(torch, "compile"):
        pytest.skip("torch.compile came with torch 2.0")
    if sys.version_info >= (3, 12):
        pytest.skip("some releases of torch do not compile on Python 3.12")
    return torch.compile(function, backend="eager")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_forward_on_the_instance_gives_the_same_loss(tmp_path, logged):
    model = Classifier()
    model.head.forward = _compiled(model.head.forward)
    runner = make_runner(tmp_path, hook(), model=model, log_level="INFO")
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert "reuses backbone of the predictions" in logged()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_gives_the_same_loss(tmp_path):
    class Compiled(nn.Module):
        """As what torch.compile(model) returns, for a Runner that is strict."""

        def __init__(self, model):
            super().__init__()
            self._orig_mod = model

        def __getattr__(self, name):
            if name == "_orig_mod":
                return super().__getattr__(name)
            return getattr(super().__getattr__("_orig_mod"), name)

    runner = make_runner(tmp_path, hook())
    runner.model = Compiled(runner.model)
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert "val_step" not in vars(runner.model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_compiled_itself_gives_the_same_loss(tmp_path):
    if not hasattr(nn.Module, "compile"):
        pytest.skip("Module.compile came with torch 2.1")
    _compiled(len)  # skips where torch cannot
    if "_getframe" in inspect.getsource(BaseDataElement.set_field):
        pytest.skip("torch cannot compile predictions into it, with or without a hook")
    model = Classifier()
    model.compile(backend="eager")
    metrics = make_runner(tmp_path, hook(), model=model).val()
    assert metrics["val_loss"] == pytest.approx(KNOWN, rel=1e-6)


def test_flexible_runner_reports_the_loss(tmp_path):
    if not hasattr(mmengine_runner, "FlexibleRunner"):
        pytest.skip("FlexibleRunner came with mmengine 0.8.0")
    runner = mmengine_runner.FlexibleRunner(
        Classifier(),
        work_dir=str(tmp_path),
        val_dataloader=loader(),
        val_evaluator=[Predicted()],
        val_cfg={},
        custom_hooks=[hook()],
        experiment_name=tmp_path.name,
        log_level="ERROR",
    )
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)


def test_a_model_that_is_replaced_is_checked_again(tmp_path):
    runner = make_runner(tmp_path, hook())
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    other = copy.deepcopy(runner.model)
    other.head.fc.weight.data.mul_(2)
    runner.model = other
    known = frozen_losses(other)["val_loss"]
    assert runner.val_loop.run()["val_loss"] == pytest.approx(known, rel=1e-6)
    assert known != pytest.approx(KNOWN)
