"""What has no correct validation loss, and what happens then."""

from __future__ import annotations

import pickle

import pytest
import torch
from mmengine.runner import ValLoop
from mmengine.structures import BaseDataElement
from torch import nn

from loss_forward.models import (
    Classifier,
    Points,
    Predicted,
    Watch,
    expected,
    hook,
    loader,
    make_runner,
)
from loss_forward.rejection import rejected
from valloss_compat.errors import Rejection, UnsupportedError
from valloss_compat.hooks import EarlyStoppingHook

pytestmark = pytest.mark.slow  # asks little of mmengine

KNOWN = expected(Classifier())["val_loss"]


class Broken(Classifier):
    """Its mode 'loss' raises."""

    def loss(self, scores, data_samples):
        raise KeyError("mine")


class MoCo(Classifier):
    """Named as one of mmpretrain, which learns without labels."""


MoCo.__module__ = "mmpretrain.models.selfsup"


def test_a_model_without_a_meaningful_loss_is_rejected_by_its_name(tmp_path):
    rejection = rejected(tmp_path, MoCo(), "it learns without labels")
    assert rejection.component == "mmpretrain.models.selfsup.MoCo"
    derived = type("Mine", (MoCo,), {"__module__": "mine"})()
    assert rejected(tmp_path, derived, "it learns").component == "mine.Mine"


def test_the_model_is_rejected_before_its_data(tmp_path):
    data = loader()
    data.dataset.pipeline = [len]
    runner = make_runner(tmp_path, hook(), model=MoCo(), val_dataloader=data)
    with pytest.raises(UnsupportedError, match="it learns without labels"):
        runner.val()


def test_a_subclass_with_a_loss_of_its_own_is_accepted(tmp_path):
    class Scaled(Classifier):
        def loss(self, scores, data_samples):
            losses = super().loss(scores, data_samples)
            return {**losses, "loss_cls": losses["loss_cls"] * 2}

    metrics = make_runner(tmp_path, hook(), model=Scaled()).val()
    known = expected(Classifier())
    assert metrics["loss_cls"] == pytest.approx(2 * known["loss_cls"], rel=1e-6)


class NoBaseModel(nn.Module):
    """Has val_step, but no modes."""

    def __init__(self):
        super().__init__()
        self.inner = Classifier()

    def val_step(self, data):
        return self.inner.val_step(data)


def test_a_model_that_has_no_modes_is_rejected(tmp_path):
    runner = make_runner(tmp_path, hook())
    runner.model = NoBaseModel()  # old releases take no such model themselves
    with pytest.raises(UnsupportedError, match="it has no forward with a mode 'loss'"):
        runner.val()


def test_a_rejection_ends_the_run_before_the_training(tmp_path):
    runner = make_runner(tmp_path, hook(), model=MoCo())
    with pytest.raises(UnsupportedError, match="it learns without labels"):
        runner.train()
    assert runner.iter == 0


def test_a_training_without_a_validation_needs_no_check(tmp_path):
    without = {f"val_{name}": None for name in ("dataloader", "cfg", "evaluator")}
    runner = make_runner(tmp_path, hook(), model=MoCo(), **without)
    runner.train()
    assert runner.iter > 0


def test_a_loss_that_raises_is_rejected_with_its_error(tmp_path):
    rejection = rejected(tmp_path, Broken(), "mode 'loss' raised KeyError: 'mine'")
    assert rejection.component == f"{__name__}.Broken"
    assert rejection.fix.startswith("run a training iteration. If it raises this as")


@pytest.mark.parametrize(
    ("error", "is_hint"),
    [
        (AttributeError("'DataSample' object has no attribute 'gt_label'"), True),
        (KeyError("masks"), True),
        (ValueError("gt_label is 255"), False),
        (AttributeError("'Head' object has no attribute 'conv'"), False),
    ],
)
def test_annotations_are_advised_where_they_seem_to_be_missing(
    tmp_path, changing, error, is_hint
):
    def act(model):
        raise error

    rejection = rejected(tmp_path, changing(act), "mode 'loss' raised")
    assert rejection.fix.startswith("load the missing annotations") is is_hint


@pytest.mark.parametrize(
    ("losses", "match"),
    [
        (torch.ones(()), "returned a Tensor, but a dict"),
        (None, "returned a NoneType, but a dict"),
        ({"loss": 1.0}, "the loss 'loss' is a float"),
        ({"loss": [1.0]}, "the loss 'loss' is a list"),
        ({"loss": torch.ones(1), "loss_b": (1,)}, "the loss 'loss_b' is a tuple"),
    ],
)
def test_losses_that_no_training_could_reduce_are_rejected(
    tmp_path, monkeypatch, losses, match
):
    monkeypatch.setattr(Classifier, "loss", lambda *_: losses)
    rejected(tmp_path, Classifier(), match)


def test_integers_and_lists_are_reduced(tmp_path, monkeypatch):
    def loss(self, scores, data_samples):
        classes = torch.stack([sample.gt for sample in data_samples])
        return {
            "loss": classes * 0 + torch.tensor([1, 2, 1, 2])[: len(classes)],
            "loss_none": [],
            "loss_two": [torch.ones(2), torch.ones(2) * 2],
            "loss_tuple": (torch.ones(3),),
        }

    monkeypatch.setattr(Classifier, "loss", loss)
    metrics = make_runner(tmp_path, hook()).val()
    assert {k: metrics[k] for k in metrics if "loss" in k} == {
        "loss": 1.5,
        "loss_two": 3.0,
        "loss_tuple": 1.0,
        "val_loss": 5.5,
    }


def test_results_that_are_no_list_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "predict", lambda *_: {"scores": 1})
    rejected(tmp_path, Classifier(), "its val_step returned a dict", sanity_check=False)


class Stuck(BaseDataElement):
    """A data sample that cannot be copied, but predicted."""

    def __deepcopy__(self, memo):
        raise TypeError("stuck")


def _stuck():
    return {"inputs": [torch.ones(4)], "data_samples": [Stuck(gt=torch.tensor(1))]}


def test_a_batch_that_cannot_be_copied_is_rejected(tmp_path):
    runner = make_runner(tmp_path, hook())
    runner.val_loop.run()
    with pytest.raises(
        UnsupportedError, match=r"a batch for \S+\.Classifier: it cannot"
    ):
        runner.val_loop.run_iter(0, _stuck())


def test_with_warn_a_batch_that_cannot_be_copied_is_validated(tmp_path):
    runner = make_runner(tmp_path, hook(on_unsupported="warn"))
    runner.val_loop.run()
    runner.call_hook("before_val_epoch")
    plain = runner.model.val_step(_stuck())
    runner.call_hook("before_val_iter", batch_idx=0, data_batch=None)
    assert "val_step" in vars(runner.model)
    outputs = runner.model.val_step(_stuck())
    assert len(outputs) == len(plain) == 1
    assert outputs[0].pred.tolist() == plain[0].pred.tolist()
    assert set(runner.val_loop.run()) == {"mean/score"}


def test_with_warn_the_training_runs_without_a_loss(tmp_path, logged):
    watch, loss = Watch(), hook(on_unsupported="warn")
    runner = make_runner(tmp_path, watch, loss, model=Broken(), log_level="INFO")
    with pytest.raises(KeyError):
        runner.train()  # the training's own loss raises
    assert logged().count(f"has no validation loss: {__name__}.Broken") == 1
    runner = make_runner(tmp_path, watch, loss, model=MoCo(), log_level="INFO")
    runner.train()
    assert [set(metrics) for metrics in watch.metrics] == [{"mean/score"}] * 2


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
def test_a_missing_loss_that_was_rejected_is_explained(tmp_path, logged):
    stopping = EarlyStoppingHook(monitor="val_loss")
    loss = hook(on_unsupported="warn")
    runner = make_runner(tmp_path, loss, stopping, model=MoCo(), log_level="INFO")
    runner.train()
    found = logged()
    assert found.count("ValLossHook rejected the model or its data") == 1
    assert "appended no loss element" not in found


# On several ranks, and where losses were recorded already.


def _on_ranks(monkeypatch, number):
    monkeypatch.setattr(
        "valloss_compat.hooks.val_loss_hook.get_world_size", lambda: number
    )


def test_on_ranks_what_is_found_before_the_first_batch_is_logged(
    tmp_path, monkeypatch, logged
):
    _on_ranks(monkeypatch, 2)
    loss = hook(on_unsupported="warn")
    make_runner(tmp_path, loss, model=MoCo(), log_level="INFO").call_hook("before_val")
    assert "no validation loss: mmpretrain.models.selfsup.MoCo" in logged()


@pytest.mark.parametrize(
    ("ranks", "recorded", "own"),
    [
        (1, True, "of the loop itself"),
        (1, True, {}),
        (2, False, None),
        (2, True, None),
    ],
)
def test_losses_that_cannot_be_removed_raise_despite_warn(
    tmp_path, monkeypatch, ranks, recorded, own
):
    runner = make_runner(tmp_path, hook(on_unsupported="warn"))
    _on_ranks(monkeypatch, ranks)
    runner.call_hook("before_val")
    runner.call_hook("before_val_epoch")
    if recorded:
        runner.val_loop.run_iter(0, next(iter(runner.val_dataloader)))
    if own is not None:
        runner.val_loop.val_loss = own
    with pytest.raises(UnsupportedError, match="cannot be copied"):
        runner.val_loop.run_iter(1, _stuck())


class SkipsOne(ValLoop):
    """Calls no step of the model for its second batch."""

    def run_iter(self, idx, data_batch):
        if idx != 1:
            return super().run_iter(idx, data_batch)
        arguments = {"batch_idx": idx, "data_batch": data_batch}
        self.runner.call_hook("before_val_iter", **arguments)
        self.runner.call_hook("after_val_iter", **arguments, outputs=[])
        return None


def test_with_warn_no_loss_of_a_part_of_the_batches_is_reported(tmp_path, logged):
    runner = make_runner(tmp_path, hook(on_unsupported="warn"), log_level="INFO")
    evaluator = runner.build_evaluator([Predicted()])
    runner._val_loop = SkipsOne(runner, loader(), evaluator)
    assert set(runner._val_loop.run()) == {"mean/score"}
    assert "do not call val_step of the runner's model" in logged()


# Losses that are those of another.


@pytest.fixture
def own_element(monkeypatch):
    """The model appends a loss element of its own, with a loss of the given name."""

    def appends(name):
        def predict(self, scores, data_samples):
            for sample, score in zip(data_samples, scores):
                sample.pred = score
            return [*data_samples, BaseDataElement(loss={name: torch.ones(())})]

        monkeypatch.setattr(Classifier, "predict", predict)

    return appends


def test_a_loss_element_of_the_model_is_reported(tmp_path, own_element, logged):
    own_element("loss_own")
    runner = make_runner(tmp_path, hook(), log_level="INFO")
    assert runner.val()["val_loss"] == 1.0
    assert set(runner.val_loop.run()) == {"mean/score", "loss_own", "val_loss"}
    found = logged()
    assert found.count("appends its loss element itself") == 1
    assert "more than one ValLossHook" not in found


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
@pytest.mark.filterwarnings("ignore:no name of:valloss_compat.VallossCompatWarning")
def test_a_missing_loss_does_not_ask_for_a_hook_that_is_there(
    tmp_path, own_element, logged
):
    own_element("own")
    stopping = EarlyStoppingHook(monitor="val_loss")
    make_runner(tmp_path, hook(), stopping, log_level="INFO").train()
    found = logged()
    assert "No name in the loss element contains 'loss'" in found
    assert "dict(type='ValLossHook')" not in found


def test_the_first_of_two_hooks_reports(tmp_path, logged):
    own = {"strategy": "dataloader", "dataloader": loader(length=6)}
    runner = make_runner(tmp_path, hook(), hook(**own), log_level="INFO")
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert runner.val_loop.run()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    found = logged()
    assert found.count("there is more than one ValLossHook in this training") == 1
    assert "appends its loss element itself" not in found
    runner = make_runner(tmp_path, hook(**own), hook())
    whole = expected(Classifier(), Points(6))["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(whole, rel=1e-6)


def test_a_rejection_passes_from_process_to_process():
    rejection = Rejection("Net", "it is odd", "even it")
    error = UnsupportedError(*rejection)
    copied = pickle.loads(pickle.dumps(error))
    assert copied.rejection == error.rejection == rejection
    assert str(copied) == f"ValLossHook has no validation loss: {rejection}"
