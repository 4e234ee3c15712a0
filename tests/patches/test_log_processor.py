"""What the terminal, scalars.json and visualizer backends show of a validation."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any, ClassVar, Dict, List

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import LOG_PROCESSORS, VISBACKENDS
from mmengine.runner import LogProcessor, Runner, ValLoop
from mmengine.visualization import BaseVisBackend
from support.tiny import Seen, element, loader, make_runner, sample

import valloss_compat
from valloss_compat._patches.log_processor import get_log_after_epoch


def train(tmp_path, **options):
    """Train four epochs with the validation losses 10, 20, 30, 40."""

    def respond(index, inputs):
        losses = {"loss": 10.0 * (index + 1), "teacher_loss": 0.5, "acc": 0.25}
        return [sample(), element(**{k: torch.tensor(v) for k, v in losses.items()})]

    backends = [{"type": options.pop("backend", "LocalVisBackend")}]
    runner = make_runner(
        tmp_path,
        respond,
        length=1,
        visualizer={"type": "Visualizer", "vis_backends": backends},
        train_dataloader=loader(2),
        train_cfg={"by_epoch": True, "max_epochs": 4},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        **options,
    )
    runner.train()
    return runner


def scalars(tmp_path):
    """Read scalars.json, one dict a line."""
    (path,) = tmp_path.rglob("scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scalars_json_has_the_loss_of_each_epoch(tmp_path):
    """10, 20, 30, 40, where native mmengine logs 10, 15, 20, 25."""
    train(tmp_path)
    lines = [line for line in scalars(tmp_path) if "val_loss" in line]
    assert [line["val_loss"] for line in lines] == [10.5, 20.5, 30.5, 40.5]
    assert [line["val/loss"] for line in lines] == [10.0, 20.0, 30.0, 40.0]
    assert {line["val/acc"] for line in lines} == {0.25}


def test_named_losses_are_never_under_the_tag_of_a_training_loss(tmp_path):
    """Only the training uses the tag 'loss'."""
    train(tmp_path)
    lines = scalars(tmp_path)
    assert not [line for line in lines if "val_loss" in line and "loss" in line]
    assert len([line for line in lines if "loss" in line]) == 8


def test_terminal_shows_the_same_values(tmp_path):
    """The line of the epoch, as mmengine's logger gets it."""
    lines = []

    class Listen(Hook):
        def before_train(self, runner):
            handler = logging.Handler()
            handler.emit = lambda record: lines.append(record.getMessage())
            runner.logger.addHandler(handler)

    train(tmp_path, log_level="INFO", custom_hooks=[Listen()])
    last = [line for line in lines if line.startswith("Epoch(val)")][-1]
    assert "val/loss: 40.0000" in last
    assert "val_loss: 40.5000" in last
    assert "  loss: " not in last


def test_tensorboard_shows_the_same_values(tmp_path):
    """A real event file, read back."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="no tensorboard: tox's `coverage` has it",
    )
    runner = train(tmp_path, backend="TensorboardVisBackend")
    runner.visualizer.close()  # ends the writer thread; 0.1.0 does it at exit
    (path,) = tmp_path.rglob("events.out*")
    events = reader.EventAccumulator(str(path.parent)).Reload()
    values = [event.value for event in events.Scalars("val_loss")]
    assert values == [10.5, 20.5, 30.5, 40.5]
    assert len(events.Scalars("val/loss")) == 4
    assert len(events.Scalars("loss")) == 8


class Recorded(BaseVisBackend):
    """Records each line of scalars, as backends such as wandb get it."""

    lines: ClassVar[List[Dict[str, Any]]] = []

    def _init_env(self):
        """Nothing to set up."""

    @property
    def experiment(self):
        return self

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.lines.append(dict(scalar_dict))


def test_every_visualizer_backend_gets_the_same_values(tmp_path):
    """They are right before a backend gets them."""
    VISBACKENDS.register_module(name="Recorded", module=Recorded, force=True)
    Recorded.lines.clear()
    train(tmp_path, backend="Recorded")
    lines = [line for line in Recorded.lines if "val_loss" in line]
    assert [line["val_loss"] for line in lines] == [10.5, 20.5, 30.5, 40.5]
    assert [line["val/loss"] for line in lines] == [10.0, 20.0, 30.0, 40.0]
    assert not [line for line in lines if "loss" in line]


def test_tags_with_hierarchy_are_unchanged(tmp_path):
    """The log processor itself keeps ``val/`` in them."""
    options = {"log_with_hierarchy": True}
    if "log_with_hierarchy" not in LogProcessor.__init__.__code__.co_varnames:
        pytest.skip("this mmengine has no log_with_hierarchy (it came with 0.7)")
    train(tmp_path, log_processor=options)
    lines = [line for line in scalars(tmp_path) if "val/val_loss" in line]
    assert [line["val/val_loss"] for line in lines] == [10.5, 20.5, 30.5, 40.5]
    assert [line["val/loss"] for line in lines] == [10.0, 20.0, 30.0, 40.0]


def test_custom_cfg_finds_the_losses_of_a_validation(tmp_path):
    """By the names that they have without this package, on every release."""
    names = ("loss", "val_loss")
    custom_cfg = [
        {
            "data_src": name,
            "log_name": f"{name}_max",
            "method_name": "max",
            "window_size": "global",
        }
        for name in names
    ]
    processor = {"type": "LogProcessor", "custom_cfg": custom_cfg}
    runner = train(tmp_path, log_processor=processor)
    line = [line for line in scalars(tmp_path) if "val_loss" in line][-1]
    assert (line["loss_max"], line["val_loss_max"]) == (40.0, 40.5)
    assert [entry["data_src"] for entry in runner.log_processor.custom_cfg] == [*names]


class ValidatesTheTrainingSet(Hook):
    """Runs a second validation loop, before the runner's own has validated."""

    def after_train_epoch(self, runner):
        metric = Seen()
        metric.prefix = "train"
        ValLoop(runner, loader(2), [metric]).run()
        runner.model.train()


def test_second_validation_loop_logs_its_losses_under_tags_of_their_own(tmp_path):
    """From its first log on: only the training uses the tag 'loss'."""
    train(tmp_path, custom_hooks=[ValidatesTheTrainingSet()])
    lines = [line for line in scalars(tmp_path) if "val_loss" in line]
    assert len(lines) == 8
    assert all("val/loss" in line and "loss" not in line for line in lines)


def test_message_hub_is_not_changed(tmp_path):
    """Its keys are those of mmengine, and its histories are whole."""
    hub = train(tmp_path).message_hub
    assert hub.get_scalar("val/loss").mean() == 25.0
    assert "val/val/loss" not in hub.log_scalars


def test_custom_log_processor_gets_the_original_runner(tmp_path):
    """Its ``super()`` calls return the values of the epoch."""

    class Own(LogProcessor):
        def get_log_after_epoch(self, runner, *args, **kwargs):
            assert type(runner) is Runner
            return super().get_log_after_epoch(runner, *args, **kwargs)

        def _collect_scalars(self, custom_cfg, runner, *args, **kwargs):
            assert isinstance(runner, Runner)
            runner.noted = True
            copy.deepcopy(runner.message_hub.log_scalars)
            return super()._collect_scalars(custom_cfg, runner, *args, **kwargs)

    LOG_PROCESSORS.register_module(name="Own", module=Own, force=True)
    assert train(tmp_path, log_processor={"type": "Own"}).noted
    lines = [line for line in scalars(tmp_path) if "val_loss" in line]
    assert [line["val_loss"] for line in lines] == [10.5, 20.5, 30.5, 40.5]


@pytest.mark.parametrize("window", [(), (None,), (2,)])
def test_custom_log_processor_may_call_mean_with_any_window(tmp_path, window):
    """With a window, by its name, or without one, it is the value of the epoch."""

    class Means(LogProcessor):
        def _collect_scalars(self, custom_cfg, runner, mode, *args, **kwargs):
            buffers = runner.message_hub.log_scalars
            if "val/val/loss" in buffers:  # an epoch is logged, not an iteration
                buffer = buffers["val/val_loss"]
                found.append(buffer.mean(*window))
                found.extend(buffer.mean(window_size=each) for each in window)
            return super()._collect_scalars(custom_cfg, runner, mode, *args, **kwargs)

    found = []
    LOG_PROCESSORS.register_module(name="Means", module=Means, force=True)
    train(tmp_path, log_processor={"type": "Means"})
    own = [10.5, 20.5, 30.5, 40.5]
    assert found == sorted(own * (1 + len(window)))


def test_log_without_losses_is_unchanged(tmp_path):
    """The original method gets the runner itself."""

    class AnyRunner:
        pass

    class NoLosses:
        def reported(self, runner, stage):
            return set()

    def original(*args):
        return args

    runner = AnyRunner()
    for mode in ("val", "test"):
        given = ("processor", runner, 3, mode)
        assert get_log_after_epoch(NoLosses(), original, given, {}) == given


def test_parity_mode_logs_as_mmengine_does(tmp_path):
    """The mean over past validations, under the bare name."""
    valloss_compat.revert()
    valloss_compat.apply(mode="parity")
    train(tmp_path)
    lines = [line for line in scalars(tmp_path) if "val_loss" in line]
    assert [line["loss"] for line in lines] == [10.0, 15.0, 20.0, 25.0]
