"""How the hook steps in: for one call, on any model, and nothing stays."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from fresh import Nursery
from mmengine import runner as mmengine_runner
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS, Registry
from mmengine.runner import ValLoop
from mmengine.structures import BaseDataElement
from ranks import run_ranks

import valloss_compat
from val_loss_hook.models import (
    Classifier,
    Head,
    Known,
    Points,
    Predicted,
    Watch,
    expected,
    hook,
    loader,
    make_runner,
)
from valloss_compat.adapters import UnsupportedError
from valloss_compat.hooks import EarlyStoppingHook, ValLossHook
from valloss_compat.val_loss.shadow import StepShadow
from valloss_compat.val_loss.wrappers import unwrap

KNOWN = expected(Classifier())["val_loss"]


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_a_config_finds_it_in_every_scope(mode):
    """Also where mmengine is native and nothing else is patched."""
    valloss_compat.apply(mode=mode)
    child = Registry("hook", parent=HOOKS, scope=f"mm{mode}")
    for registry in (HOOKS, child):
        for name in (
            "ValLossHook",
            "mmengine.ValLossHook",
            f"{child.scope}.ValLossHook",
        ):
            assert registry.get(name) is ValLossHook
        # mmengine has one of its own from 0.7.0 on.
        known = HOOKS.get("EarlyStoppingHook")
        assert registry.get(f"{child.scope}.EarlyStoppingHook") is known
    assert Registry("models", scope="mmother").get("ValLossHook") is None


def test_a_hook_of_that_name_that_is_registered_wins():
    """Nothing of ours is registered."""
    child = Registry("hook", parent=HOOKS, scope="mmthing")
    mine = child.register_module(name="ValLossHook", module=type("Mine", (Hook,), {}))
    assert child.get("ValLossHook") is mine
    assert HOOKS.get("ValLossHook") is ValLossHook


def test_the_package_hands_it_out_late():
    """Who has no such hook in the config does not import it."""
    assert "EarlyStoppingHook" in dir(sys.modules["valloss_compat.hooks"])
    assert EarlyStoppingHook.__name__ == "EarlyStoppingHook"
    with pytest.raises(AttributeError, match="no attribute 'NoSuchHook'"):
        sys.modules["valloss_compat.hooks"].NoSuchHook  # noqa: B018


def test_the_import_leaves_it_alone(nursery: Nursery):
    """Importing the package imports nothing of the hook."""
    told = nursery.run(
        "import json, sys, valloss_compat\n"
        "print(json.dumps([m for m in sys.modules if 'val_loss' in m or "
        "m.startswith('valloss_compat.adapters')]))"
    )
    assert told.json() == []


def test_parity_reports_it_as_native_does(tmp_path):
    """The losses go through mmengine's own code where it has any."""
    valloss_compat.apply(mode="parity")
    spy = Watch()
    metrics = make_runner(tmp_path, hook(), spy).val()
    assert metrics["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert [len(outputs) for outputs in spy.outputs] == [4, 4, 2]


def test_what_stood_on_the_model_is_used_and_put_back(tmp_path):
    """A val_step of the instance's own, compiled for one; then nothing is shared."""
    runner = make_runner(tmp_path, hook())
    calls = []
    own = runner.model.val_step

    def mine(data):
        calls.append(1)
        return own(data)

    vars(runner.model)["val_step"] = mine
    assert runner.val_loop.run()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert vars(runner.model)["val_step"] is mine
    assert len(calls) == 3


def test_a_shadow_that_was_replaced_stays_out_of_the_way():
    """What somebody put over it is not taken off."""
    model = Classifier()
    shadow = StepShadow(model, lambda step: "ours")
    vars(model)["val_step"] = len
    assert not shadow.remove()
    assert model.val_step is len


class Raises(Hook):
    """Fails in the first iteration, after all others."""

    priority = "LOWEST"

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        raise KeyError("mine")


def test_nothing_stays_where_another_hook_raises(tmp_path):
    """Also one that comes after ours by its priority."""
    runner = make_runner(tmp_path, hook(), Raises())
    with pytest.raises(KeyError, match="mine"):
        runner.val()
    assert "val_step" not in vars(runner.model)


@pytest.mark.parametrize("mode", ["predict", "loss"])
def test_nothing_stays_where_the_model_raises(tmp_path, monkeypatch, mode):
    """No shadow, no memory, and the flags as they were."""

    def fails(self, *args):
        raise KeyError("mine")

    monkeypatch.setattr(Classifier, mode, fails)
    runner = make_runner(tmp_path, hook())
    with pytest.raises((KeyError, UnsupportedError)):
        runner.val()
    for module in runner.model.modules():
        assert not {"val_step", "forward"} & set(vars(module))
        assert not module.training


@pytest.fixture
def own_element(monkeypatch):
    """The model appends a loss element of its own, with a loss of the name given."""

    def appends(name):
        def predict(self, scores, data_samples):
            for sample, score in zip(data_samples, scores):
                sample.pred = score
            return [*data_samples, BaseDataElement(loss={name: torch.ones(())})]

        monkeypatch.setattr(Classifier, "predict", predict)

    return appends


@pytest.mark.parametrize("hooks", [1, 2])
def test_a_model_that_appends_its_own_is_left_to_it(
    tmp_path, own_element, capsys, hooks
):
    """Said once by each hook (a newer mmengine logs one); its loss is reported."""
    own_element("loss_own")
    runner = make_runner(tmp_path, *(hook() for _ in range(hooks)), log_level="WARNING")
    assert runner.val()["val_loss"] == 1.0
    assert set(runner.val_loop.run()) == {"mean/score", "loss_own", "val_loss"}
    said = capsys.readouterr().out
    assert said.count("appends its loss element itself") in {1, hooks}
    assert "more than one ValLossHook" not in said


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
@pytest.mark.filterwarnings("ignore:no name of:valloss_compat.VallossCompatWarning")
def test_who_misses_a_loss_is_not_told_to_add_the_hook_that_is_there(
    tmp_path, own_element, capsys
):
    """No name in the model's own element contains 'loss'."""
    own_element("own")
    stopping = EarlyStoppingHook(monitor="val_loss")
    make_runner(tmp_path, hook(), stopping, log_level="WARNING").train()
    said = capsys.readouterr().out
    assert "model or ValLossHook appended contains 'loss'" in " ".join(said.split())
    assert "add custom_hooks" not in said


def test_of_two_hooks_the_first_reports(tmp_path, capsys):
    """As of a base config and of one on top of it; the model appends nothing."""
    own = {"strategy": "dataloader", "dataloader": loader(length=6)}
    runner = make_runner(tmp_path, hook(), hook(**own), log_level="WARNING")
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert runner.val_loop.run()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    said = capsys.readouterr().out
    assert said.count("there is more than one ValLossHook in this training") == 1
    assert "appends its loss element itself" not in said
    runner = make_runner(tmp_path, hook(**own), hook())
    whole = expected(Classifier(), Points(6))["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(whole, rel=1e-6)


def test_a_tuple_stays_one(tmp_path, monkeypatch):
    """Hooks get the type that the model returns."""
    plain = Classifier.predict
    monkeypatch.setattr(
        Classifier, "predict", lambda *args: tuple(plain(*args)), raising=True
    )
    spy = Watch()
    assert make_runner(tmp_path, hook(), spy).val()["val_loss"] == pytest.approx(KNOWN)
    assert {type(outputs) for outputs in spy.outputs} == {tuple}


class OwnLoop(ValLoop):
    """Calls the hooks, and the model past val_step or with other arguments."""

    def __init__(self, *args, way, **kwargs):
        super().__init__(*args, **kwargs)
        self.way = way

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        model = self.runner.model
        if self.way == "keyword":
            outputs = model.val_step(data=data_batch)
        else:
            outputs = model.test_step(data_batch)
        self.evaluator.process(outputs, data_batch)
        self.runner.call_hook(
            "after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )


def own_loop(work_dir, way, **options):
    runner = make_runner(work_dir, hook(**options))
    runner._val_loop = OwnLoop(
        runner, loader(), runner.build_evaluator([Predicted()]), way=way
    )
    return runner


def test_a_loop_with_its_own_iterations(tmp_path):
    """What calls val_step gets the losses, however it calls it."""
    assert own_loop(tmp_path, "keyword").val_loop.run()["val_loss"] == pytest.approx(
        KNOWN
    )


def test_a_loop_that_does_not_call_val_step_is_refused(tmp_path):
    """There is nothing to append to."""
    runner = own_loop(tmp_path, "test_step")
    with pytest.raises(UnsupportedError, match="do not call val_step"):
        runner.val_loop.run()
    assert "val_step" not in vars(runner.model)
    quiet = own_loop(tmp_path, "test_step", on_unsupported="warn").val_loop.run()
    assert set(quiet) == {"mean/score"}


@pytest.mark.filterwarnings("ignore:The value of momentum in EMA")
def test_ema_is_what_is_validated(tmp_path):
    """The averaged weights, as the predictions have them."""

    class Weights(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            self.state = {k: v.clone() for k, v in runner.model.state_dict().items()}

    weights, watch = Weights(), Watch()
    runner = make_runner(tmp_path, hook(), EMAHook(momentum=0.5), weights, watch)
    runner.train()
    model = Classifier()
    model.load_state_dict(weights.state)
    assert watch.metrics[-1]["val_loss"] == pytest.approx(expected(model)["val_loss"])
    trained = expected(runner.model)["val_loss"]
    assert watch.metrics[-1]["val_loss"] != pytest.approx(trained)


def test_modules_in_training_mode_are_put_back(tmp_path, monkeypatch):
    """The loss is in eval mode; a flag that somebody set stays set."""

    class Sets(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.backbone.drop.training = True

    runner = make_runner(tmp_path, Sets(), hook())
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert runner.model.backbone.drop.training


def test_forward_hooks_see_both_runs_and_it_is_said(tmp_path, capsys):
    """Then nothing is shared: they may change what a module gives."""
    runner = make_runner(tmp_path, hook(), log_level="WARNING")
    seen = []
    runner.model.head.fc.register_forward_hook(lambda *_: seen.append(1))
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert len(seen) == 6
    assert capsys.readouterr().out.count("have forward hooks") == 1


def test_half_precision_is_that_of_the_loop(tmp_path, monkeypatch):
    """The loss runs under the autocast that the predictions run under."""
    if not hasattr(torch, "is_autocast_cpu_enabled"):
        pytest.skip("torch before 1.10 has no autocast on the CPU")
    seen = []

    class Typed(Head):
        def forward(self, features):
            scores = super().forward(features)
            seen.append(scores.dtype)
            return scores.float()

    model = Classifier()
    model.head = Typed()
    Known.known = (*Known.known, "Typed")
    try:
        runner = make_runner(
            tmp_path,
            hook(strategy="second_forward"),
            model=model,
            val_cfg={"fp16": True},
        )
        runner.val()
    finally:
        Known.known = Known.known[:-1]
    assert len(seen) == 6
    assert len(set(seen)) == 1


def test_wrappers_that_are_known():
    """DDP is in the test of ranks; torch.compile's keeps the model in _orig_mod."""
    model = Classifier()
    compiled = torch.nn.Module()
    compiled._orig_mod = model
    assert unwrap(compiled) is model


def test_wrappers_that_are_not_known_are_refused():
    """They may hold the parameters in shards."""
    engine = type("Engine", (torch.nn.Module,), {"__module__": "deepspeed.runtime"})
    with pytest.raises(UnsupportedError, match="Engine: a wrapper"):
        unwrap(engine())


def test_flexible_runner(tmp_path):
    """Mmengine 0.8.0 and later."""
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


RANKS = """
def rank_main(rank):
    import torch, valloss_compat
    from mmengine.model import MMDistributedDataParallel
    from torch.utils.data import DataLoader, Subset
    from val_loss_hook.models import Known, Points, collate, hook, make_runner
    from valloss_compat import adapters
    Known.may_sync = {may_sync}
    adapters.register(Known)
    torch.set_num_threads(1)
    half = Subset(Points(), range({cut}) if rank == 0 else range({cut}, 10))
    runner = make_runner(
        FOLDER + str(rank), hook(),
        val_dataloader=DataLoader(half, 2, collate_fn=collate))
    runner.model = MMDistributedDataParallel(runner.model, broadcast_buffers=False)
    try:
        return runner.val_loop.run()['val_loss']
    except adapters.UnsupportedError as error:
        return str(error)
"""


def test_two_ranks_report_one_loss(nursery: Nursery):
    """Through DDP, over the samples of both."""
    told = run_ranks(nursery, 2, RANKS.format(cut=4, may_sync=False))
    pairs = expected(Classifier(), batch_size=2)["val_loss"]
    assert told == pytest.approx([pairs, pairs], rel=1e-6)


def test_losses_that_wait_for_all_ranks_need_as_many_batches(nursery: Nursery):
    """Else some rank would wait for ever."""
    told = run_ranks(nursery, 2, RANKS.format(cut=4, may_sync=True))
    assert ["different numbers of validation batches" in text for text in told] == [
        True,
        True,
    ]
    assert json.dumps(told).count("round_up=True") == 2
