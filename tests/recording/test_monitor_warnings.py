"""Messages about what hooks monitor: names, rules, metrics that are missing."""

from __future__ import annotations

import types

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from support.tiny import element, loader, make_runner, sample

from valloss_compat._recording import monitor_warnings
from valloss_compat._recording.monitor_warnings import (
    check_hook,
    explain_missing_metric,
    explain_name,
    missing_metrics,
)
from valloss_compat.hooks import EarlyStoppingHook


class AnotherHook(Hook):
    """A hook with an attribute ``monitor`` that can mean anything."""

    monitor = "other_loss"


class ValLossHook(Hook):
    """A hook of the user with the name of the package's."""


class AddsLoss(Hook):
    """A hook of the user that puts a loss into the metrics."""

    priority = "VERY_HIGH"

    def after_val_epoch(self, runner, metrics=None):
        metrics["val_loss"] = 1.0


class Plateau:
    """A parameter scheduler that gets the metrics."""

    need_val_args = True
    rule = "less"

    def __init__(self, monitor):
        self.monitor = monitor


def runner_with(*hooks, **attributes):
    return types.SimpleNamespace(hooks=list(hooks), **attributes)


def test_monitor_of_another_kind_of_hook_is_ignored():
    assert list(missing_metrics(runner_with(AnotherHook()), ["acc"], None)) == []


@pytest.mark.parametrize(
    "schedulers",
    [[Plateau("val_loss")], {"a": [Plateau("val_loss"), AnotherHook()]}],
    ids=["list", "several optimizers"],
)
def test_scheduler_that_monitors_a_missing_loss_is_explained(schedulers):
    """Such as ReduceOnPlateauLR, by which mmengine ends the run with a KeyError."""
    runner = runner_with(param_schedulers=schedulers)
    (message,) = missing_metrics(runner, ["acc"], None)
    name = f"{Plateau.__module__}.Plateau"
    assert message.startswith(f"{name} monitors 'val_loss', but the metrics of this")
    assert list(missing_metrics(runner, ["val_loss"], None)) == []


@pytest.mark.parametrize(
    ("names", "found", "text"),
    [
        (["acc"], None, "are 'acc'. There is no loss among them: the model returned"),
        ([], None, "are none. There is no loss among them"),
        (
            ["acc"],
            "it is X. Fix: Y",
            "no loss among them: it is X. Fix: Y, or add",
        ),
        (["l1"], "", "No name in the loss element contains 'loss', so there is no"),
        (["loss_b", "acc"], None, "are 'acc', 'loss_b'. Fix: monitor one of these"),
    ],
)
def test_message_lists_the_metrics_that_exist(names, found, text):
    """Without any loss among them, it gives the cause."""
    hook = CheckpointHook(save_best="val_loss")
    assert text in explain_missing_metric(None, hook, "val_loss", names, found)


def test_message_names_the_metric_behind_a_tag():
    """Also where the metrics have it, and for names without `loss`."""
    hooks = [CheckpointHook(save_best=["val/loss_a", "val/acc"])]
    of_loss, of_metric = missing_metrics(runner_with(*hooks), ["loss_a", "acc"], "")
    assert of_loss.endswith(
        "tag of 'loss_a' in the log. Fix: monitor 'loss_a', or 'val_loss'"
    )
    assert of_metric.endswith("that is the tag of 'acc' in the log. Fix: monitor 'acc'")


def test_message_names_another_hook_of_the_same_name():
    """Its module, and the full name of the hook that was meant."""
    runner = runner_with(ValLossHook(), CheckpointHook(save_best="val_loss"))
    (message,) = missing_metrics(runner, ["acc"], None)
    assert f"ValLossHook is {__name__}.ValLossHook here" in message
    assert "type='valloss_compat.hooks.ValLossHook'" in message
    assert "add default_hooks" not in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val_los", "Did you mean 'val_loss'?"),
        ("valloss", "Did you mean 'val_loss'?"),
        ("Val_Loss", "Did you mean 'val_loss'?"),
        ("loss_val", "Did you mean 'val_loss'?"),
        ("valid_loss", "Did you mean 'val_loss'?"),
        ("validation_loss", "Did you mean 'val_loss'?"),
        (
            "val/loss_cls",
            "the tag of 'loss_cls' in the log. Fix: monitor 'loss_cls', or",
        ),
        ("val/val_loss", "the tag of 'val_loss' in the log. Fix: monitor 'val_loss'"),
        ("val/acc", "the tag of 'acc' in the log. Fix: monitor 'acc'"),
        ("train/loss", "that is a tag of the training. Fix: monitor 'val_loss'"),
        ("test_loss", "that is the total of a test. Fix: monitor 'val_loss'"),
        *((name, "") for name in ("val_loss", "loss", "acc", "teacher/val_loss")),
        *((name, "") for name in ("vae_loss", "vel_loss", "var_loss", "loss_cls")),
    ],
)
def test_name_that_no_metric_has_is_explained(name, text):
    """Close to val_loss, or a tag of the log; other losses may have similar names."""
    found = explain_name(name)
    assert text in found
    assert bool(found) == bool(text)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (EarlyStoppingHook("val_loss"), (False, "has min_delta=0.1, mmengine's")),
        (EarlyStoppingHook("val_loss", min_delta=0.0), (False, "stands still never")),
        (EarlyStoppingHook("val_loss", min_delta=1e-4), None),
        (EarlyStoppingHook("val_loss", "greater", 1e-4), (True, "rule='greater', so")),
        (EarlyStoppingHook("acc"), None),
        (CheckpointHook(save_best="val_loss"), None),
        (CheckpointHook(save_best=["acc", "loss"], rule=["greater", "less"]), None),
        (
            CheckpointHook(save_best=["acc", "loss"], rule="greater"),
            (True, "of 'loss'"),
        ),
        (Plateau("loss"), None),
        (AnotherHook(), None),
    ],
)
def test_rule_and_min_delta_of_a_loss_are_checked(hook, expected):
    found = list(check_hook(hook))
    assert len(found) == (expected is not None)
    for is_wrong, text in found:
        assert (is_wrong, expected[1] in text) == (expected[0], True)


class Model(BaseModel):
    """Returns no loss element."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, mode="tensor"):
        loss = self.weight * torch.stack(list(inputs)).mean()
        return {"loss": loss} if mode == "loss" else [sample()]


def train(folder, hooks, respond=None, **options):
    """Train an epoch, and return the log."""
    runner = make_runner(
        folder,
        respond or (lambda *_: [sample()]),
        train_dataloader=loader(1),
        train_cfg={"by_epoch": True, "max_epochs": options.pop("max_epochs", 1)},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=hooks,
        log_level="INFO",
        **options,
    )
    runner.train()
    return log_of(folder)


def log_of(folder):
    paths = sorted(folder.rglob("*.log"))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
def test_loss_that_a_hook_of_the_user_adds_is_not_missing(tmp_path):
    """The metrics are checked behind the hooks."""
    stop = EarlyStoppingHook("val_loss", min_delta=1e-4)
    assert "monitors" not in train(tmp_path / "a", [AddsLoss(), stop])
    assert "There is no loss among them" in train(tmp_path / "b", [stop])


def test_run_logs_once_that_it_is_patched(tmp_path):
    """With version, mmengine, number of patches, mode and weighting."""
    log = train(tmp_path, [], lambda *_: [sample(), element(loss=1.0)])
    (line,) = (line for line in log.splitlines() if "patches of mmengine" in line)
    assert "valloss_compat: version " in line
    assert line.endswith("are active, mode default, weighting batch")


def test_training_logs_the_default_of_min_delta_once(tmp_path):
    log = train(
        tmp_path,
        [{"type": "EarlyStoppingHook", "monitor": "val_loss"}],
        lambda *_: [sample(), element(loss=1.0)],
        max_epochs=2,
    )
    assert log.count("has min_delta=0.1, mmengine's default") == 1


def best_by(name):
    return {"default_hooks": {"checkpoint": {"type": "CheckpointHook", **name}}}


@pytest.mark.filterwarnings("ignore:.*weights_only=False:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
def test_resume_that_switches_save_best_is_warned_of(tmp_path, monkeypatch):
    """One best score is kept, of whatever metric; of several names each has one."""
    # Else mmengine cannot load its checkpoints, from torch 2.6 on.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

    def respond(*_):
        return [sample(), element(loss=1.0)]

    first = best_by({"save_best": "n/seen", "rule": "greater"})
    train(tmp_path, [], respond, max_epochs=2, **first)
    assert "No checkpoint is the best until" not in log_of(tmp_path)
    again = {"max_epochs": 3, "resume": True}
    train(tmp_path, [], respond, **again, **best_by({"save_best": "val_loss"}))
    (line,) = (x for x in log_of(tmp_path).splitlines() if "the best until" in x)
    assert "CheckpointHook has save_best='val_loss', but the best score of this" in line
    for same in ({"save_best": "auto"}, {"save_best": ["val_loss", "loss"]}):
        hub = types.SimpleNamespace(runtime_info={"best_ckpt": "best_acc_1.pth"})
        runner = runner_with(CheckpointHook(**same), message_hub=hub)
        assert list(monitor_warnings.check_hooks(runner)) == []
