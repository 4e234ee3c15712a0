"""EarlyStoppingHook: where a config finds it, what it says, what it refuses."""

from __future__ import annotations

import inspect
import logging
import math

import mmengine.hooks
import pytest
import torch
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop
from tiny import Spy, element, loader, make_runner, sample

import valloss_compat
from valloss_compat.hooks import EarlyStoppingHook, early_stopping
from valloss_compat.monitors import missing

HAS_THE_HOOK = hasattr(mmengine.hooks, "EarlyStoppingHook")
lacks_the_hook = pytest.mark.skipif(
    HAS_THE_HOOK, reason="this mmengine has the hook itself, and theirs runs"
)
has_the_hook = pytest.mark.skipif(
    not HAS_THE_HOOK, reason="EarlyStoppingHook came with mmengine 0.7.0"
)
Ours = early_stopping.EarlyStoppingHook


def train(tmp_path, values, **options):
    """Train one epoch a value, with early stopping on val_loss."""

    def respond(index, inputs):
        return [sample(), element(**values[index])]

    spy = Spy()
    hook = {"type": "EarlyStoppingHook", "monitor": "val_loss", "patience": 1}
    hook.update(options.pop("hook", {}))
    runner = make_runner(
        tmp_path,
        respond,
        length=1,
        train_dataloader=loader(1),
        train_cfg={"by_epoch": True, "max_epochs": len(values)},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[spy, hook],
        **options,
    )
    runner.train()
    return runner, spy


def logged(tmp_path):
    """What the log file of the run says."""
    return "".join(path.read_text() for path in tmp_path.rglob("*.log"))


@has_the_hook
def test_theirs_is_theirs():
    """Where mmengine has the hook, it is that very class, patched or not."""
    assert EarlyStoppingHook is mmengine.hooks.EarlyStoppingHook
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook
    assert HOOKS.get("mmengine.EarlyStoppingHook") is EarlyStoppingHook
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook


@has_the_hook
def test_ours_takes_the_same_arguments():
    """Names, order and defaults of the constructor."""

    def told(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.default, p.kind) for p in parameters]

    assert told(Ours.__init__) == told(EarlyStoppingHook.__init__)
    assert Ours.priority == EarlyStoppingHook.priority


@has_the_hook
@pytest.mark.parametrize(
    "monitor", ["val_loss", "loss", "coco/bbox_mAP", "acc", "top1"]
)
def test_ours_infers_the_same_rules(monitor):
    """And the attributes that follow from them."""
    ours, theirs = Ours(monitor), EarlyStoppingHook(monitor)
    for name in ("rule", "min_delta", "best_score", "wait_count", "patience"):
        assert getattr(ours, name) == getattr(theirs, name)


@lacks_the_hook
def test_a_registry_finds_it_while_the_patches_are_on():
    """By both its names, in the registry of hooks alone; nothing is registered."""
    for name in ("EarlyStoppingHook", "mmengine.EarlyStoppingHook"):
        assert HOOKS.get(name) is EarlyStoppingHook
    assert mmengine.registry.MODELS.get("EarlyStoppingHook") is None
    assert "EarlyStoppingHook" not in HOOKS.module_dict
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is None


SCOPES = """
import json, tempfile
from mmengine.registry import HOOKS, Registry
mmdet, mmpretrain = (Registry('hook', parent=HOOKS, scope=scope)
                     for scope in ('mmdet', 'mmpretrain'))
BEFORE, AFTER = {before}, {after}

def register(registry):
    @registry.register_module()
    class EarlyStoppingHook:
        pass
    return EarlyStoppingHook

theirs = register(HOOKS) if BEFORE else None
import valloss_compat
if AFTER:
    theirs = register(HOOKS)
from valloss_compat.hooks import EarlyStoppingHook as ours
in_mmdet = register(mmdet)
expected = theirs or ours
assert HOOKS.get('EarlyStoppingHook') is expected
assert mmpretrain.get('EarlyStoppingHook') is expected
assert mmdet.get('EarlyStoppingHook') is in_mmdet
assert HOOKS.get('mmdet.EarlyStoppingHook') is in_mmdet
built = mmpretrain.build(dict(type='EarlyStoppingHook', **(
    {{}} if theirs else dict(monitor='val_loss'))))
assert type(built) is expected
"""


@lacks_the_hook
@pytest.mark.parametrize(
    ("before", "after"), [(False, False), (True, False), (False, True)]
)
def test_a_hook_of_that_name_that_is_registered_wins(nursery, before, after):
    """In any scope, before the import or after it; other scopes find ours."""
    done = nursery.run(SCOPES.format(before=before, after=after))
    assert done.returncode == 0, done.stderr


@lacks_the_hook
def test_without_the_shim_there_is_no_such_hook(nursery):
    """The control: mmengine itself does not know the name."""
    script = "import valloss_compat; from mmengine.registry import HOOKS\n"
    script += "print('true' if HOOKS.get('EarlyStoppingHook') is None else 'false')"
    assert nursery.run(script, env={"VALLOSS_COMPAT": "off"}).json() is True


DOWNSTREAM = """
import os, sys, tempfile
# The shape of a downstream library: mmengine imports registry and utils of a scope.
folder = tempfile.mkdtemp()
os.makedirs(os.path.join(folder, {scope!r}))
for name, text in (
    ('__init__', ''),
    ('utils', 'def register_all_modules(*args, **kwargs): pass'),
    ('registry', 'from mmengine.registry import HOOKS as PARENT, Registry; '
                 'HOOKS = Registry("hook", parent=PARENT, scope="{scope}")'),
):
    with open(os.path.join(folder, {scope!r}, name + '.py'), 'w') as file:
        file.write(text)
sys.path.insert(0, folder)
import valloss_compat
from tiny import element, loader, make_runner, sample
losses = [0.5, 0.9, 0.1]
runner = make_runner(
    folder, lambda index, inputs: [sample(), element(loss=losses[index])], length=1,
    train_dataloader=loader(1), train_cfg=dict(by_epoch=True, max_epochs=3),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), default_scope={scope!r},
    custom_hooks=[dict(type='EarlyStoppingHook', monitor='val_loss', patience=1)])
runner.train()
print(runner.epoch)
"""


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain"])
def test_a_config_of_another_scope_finds_it(nursery, scope):
    """The Runner of a downstream library names its own default scope."""
    assert nursery.run(DOWNSTREAM.format(scope=scope)).json() == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_log_says_why_it_stopped(tmp_path, value):
    """NaN is called NaN; where theirs runs, our own warning does that."""
    values = [{"loss": 0.5}, {"loss": value}, {"loss": 0.1}]
    runner, _ = train(tmp_path, values, log_level="INFO")
    assert runner.epoch == 2
    kind = "NaN" if math.isnan(value) else "infinite"
    assert f"is {kind}" in logged(tmp_path)


@lacks_the_hook
@pytest.mark.parametrize(
    ("values", "hook", "reason"),
    [
        (
            [0.5, 0.9],
            {},
            "early stopping: val_loss did not improve in 1 validations; its best "
            "value was 0.500",
        ),
        (
            [0.5, 0.125],
            {"stopping_threshold": 0.25},
            "early stopping: val_loss = 0.125 is less than the limit 0.25",
        ),
    ],
)
def test_our_reasons(tmp_path, values, hook, reason):
    """With the numbers that led to it."""
    values = [{"loss": value} for value in [*values, 0.0]]
    runner, _ = train(tmp_path, values, log_level="INFO", hook=hook)
    assert runner.epoch == 2
    assert reason in logged(tmp_path)


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
def test_a_missing_loss_is_explained(tmp_path):
    """Which metrics there are, why there is no loss among them, what to do; once."""
    train(tmp_path, [{"l1": 0.5}] * 3, log_level="WARNING")
    text = (
        "EarlyStoppingHook monitors 'val_loss', but the metrics of this validation "
        "are 'l1', 'n/seen'. There is no loss among them: the model appended no loss "
        "element, or no name in it contains 'loss'. For a model of mmpretrain, mmdet, "
        "mmseg or mmpose add custom_hooks=[dict(type='ValLossHook')]; end what the "
        "forward of any other returns in mode 'predict' with "
        "BaseDataElement(loss={'loss_cls': tensor, ...})"
    )
    assert logged(tmp_path).count(text) == 1


def test_a_missing_loss_is_explained_before_save_best_raises(tmp_path):
    """The KeyError of mmengine says no more than the name."""
    checkpoint = {"type": "CheckpointHook", "interval": 1, "save_best": "other_loss"}
    hooks = {"default_hooks": {"checkpoint": checkpoint}, "log_level": "WARNING"}
    with pytest.raises(KeyError):
        train(tmp_path, [{"loss": 0.5}], **hooks)
    text = (
        "CheckpointHook monitors 'other_loss', but the metrics of this validation are "
        "'loss', 'n/seen', 'val_loss': monitor one of these"
    )
    assert logged(tmp_path).count(text) == 1


def test_what_is_monitored_and_there_is_not_mentioned(tmp_path):
    """Nor is a metric that is no loss."""
    train(tmp_path, [{"loss": 0.5}], log_level="WARNING")
    assert "monitors" not in logged(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["acc"], "are 'acc'. There is no loss among them: the model appended no"),
        ([], "are none. There is no loss among them"),
        (["loss_b", "acc"], "are 'acc', 'loss_b': monitor one of these"),
    ],
)
def test_the_message_lists_what_there_is(names, said):
    """And says why a loss can be missing where there is none at all."""
    assert said in missing(None, "val_loss", "EarlyStoppingHook", names)


class TestOurs:
    """What only the hook for old releases does, tried on all of them."""

    def test_a_wrong_rule_is_refused(self):
        with pytest.raises(ValueError, match="rule is 'more', but 'greater' or 'less'"):
            Ours("val_loss", rule="more")

    def test_a_name_without_a_rule_is_refused(self):
        with pytest.raises(ValueError, match="the rule for 'speed' cannot be told"):
            Ours("speed")

    def test_strict_is_an_error_that_explains(self):
        with pytest.raises(RuntimeError, match="There is no loss among them"):
            Ours("val_loss", strict=True).after_val_epoch(None, {"acc": 1.0})

    def test_a_loop_that_cannot_be_stopped_is_refused(self):
        class Loop(BaseLoop):
            def __init__(self):
                """Without a dataloader."""

            def run(self):
                """Nothing."""

        class Runner:
            train_loop = Loop()

        with pytest.raises(TypeError, match="cannot stop a Loop: derive it from"):
            Ours("val_loss").before_train(Runner())
        Runner.train_loop.stop_training = False
        Ours("val_loss").before_train(Runner())

    def test_a_validation_alone_stops_nothing(self, tmp_path):
        hook = Ours("val_loss", patience=1)
        runner = make_runner(
            tmp_path,
            lambda *_: [sample(), element(loss=torch.ones(()))],
            custom_hooks=[hook],
        )
        for _ in range(3):
            runner.val()
        assert hook.wait_count == 2

    @pytest.mark.filterwarnings("ignore:init_weights of Model has been called")
    def test_a_stopped_training_stays_stopped(self, tmp_path):
        hook = Ours("val_loss", patience=1)
        values = iter([0.5, 0.9, 0.8, 0.7])
        runner = make_runner(
            tmp_path,
            lambda *_: [sample(), element(loss=next(values))],
            length=1,
            train_dataloader=loader(1),
            train_cfg={"by_epoch": True, "max_epochs": 4},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
            custom_hooks=[hook],
        )
        for _ in range(2):
            runner.train()
            assert (runner.epoch, runner.max_epochs) == (2, 4)

    def test_another_loop_is_not_stopped_for_the_first(self):
        class Loop(EpochBasedTrainLoop):
            def __init__(self):
                self._max_epochs, self._epoch = 9, 3

        class Runner:
            train_loop = _train_loop = Loop()
            logger = logging.getLogger("quiet")

        vars(Runner.train_loop).pop("stop_training", None)
        hook, runner = Ours("val_loss", patience=1), Runner()
        for value in (0.5, 0.9):
            hook.after_val_epoch(runner, {"val_loss": value})
        assert runner.train_loop.max_epochs == 3
        hook.after_train(runner)
        assert runner.train_loop.max_epochs == 9
        hook.before_train(runner)
        assert runner.train_loop.max_epochs == 3
        runner.train_loop = Loop()
        hook.before_train(runner)
        assert runner.train_loop.max_epochs == 9
