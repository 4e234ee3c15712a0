"""What is not known to be right gives no number, and says why and what to do."""

from __future__ import annotations

import pytest
import torch

from loss_forward.models import (
    Classifier,
    Head,
    Known,
    Watch,
    expected,
    hook,
    make_runner,
)
from loss_forward.refusal import refused
from valloss_compat import _libraries
from valloss_compat._libraries import UnsupportedError, base
from valloss_compat.hooks import EarlyStoppingHook


class Other(Classifier):
    """A user's own: it has a loss of its own."""

    def loss(self, scores, data_samples):
        return super().loss(scores, data_samples)


def _own_init(self):
    Classifier.__init__(self)


#: A user's own that only has an ``__init__``.
Plain = type("Plain", (Classifier,), {"__module__": "mine", "__init__": _own_init})


def test_a_model_that_no_table_knows_is_refused_before_training(tmp_path, monkeypatch):
    """By its full name, with the option that lets it in."""
    runner = make_runner(tmp_path, hook(), model=Other())
    monkeypatch.setattr(base, "_registered", {})
    name = f"{Other.__module__}.Other"
    with pytest.raises(UnsupportedError, match=rf"trust=\['{name}'\]"):
        runner.train()
    assert runner.iter == 0


def test_a_changed_subclass_is_refused_until_it_is_trusted(tmp_path):
    """An overridden loss is not known; a mere __init__ changes nothing."""
    name = f"{Other.__module__}.Other"
    refused(tmp_path, Other(), f"does not know {name}")
    trusted = make_runner(tmp_path, hook(trust=[name]), model=Other()).val()
    plain = make_runner(tmp_path, hook(), model=Plain()).val()
    assert trusted["val_loss"] == plain["val_loss"]


def test_a_trusted_model_of_no_known_library(tmp_path, monkeypatch):
    """Its own answer: a second forward, guarded."""
    monkeypatch.setattr(base, "_registered", {})
    trust = [f"{Classifier.__module__}.Classifier"]
    metrics = make_runner(tmp_path, hook(trust=trust)).val()
    assert metrics["val_loss"] == pytest.approx(expected(Classifier())["val_loss"])


def test_the_model_is_refused_before_its_data(tmp_path, monkeypatch):
    """No other data would help."""
    of_data = _libraries.Rejection("Points", "no annotations", "LoadAnnotations")
    monkeypatch.setattr(Known, "refuse_data", lambda *_: of_data)
    refused(tmp_path, Other(), "does not know .*Other")
    refused(tmp_path, Classifier(), "no annotations")


def test_a_refused_part_is_named_with_its_place(tmp_path, monkeypatch):
    """Also one that is derived from what the table names."""
    monkeypatch.setattr(Known, "refused", {"Head": ("it remembers", "another head")})
    model = Classifier()
    model.head = type("Mine", (Head,), {"__module__": "mine"})()
    refusal = refused(tmp_path, model, "it remembers")
    assert refusal == ("Mine (head)", "it remembers", "another head")


def test_on_unsupported_warn_trains_without_a_loss(tmp_path, capsys):
    """One warning, and no trace in the metrics."""
    watch = Watch()
    runner = make_runner(
        tmp_path, watch, hook(on_unsupported="warn"), model=Other(), log_level="WARNING"
    )
    runner.train()
    assert [set(metrics) for metrics in watch.metrics] == [{"mean/score"}] * 2
    assert (
        capsys.readouterr().out.count("ValLossHook has no validation loss: Other") == 1
    )


def test_on_several_ranks_what_shows_before_the_first_batch_is_logged(
    tmp_path, monkeypatch, capsys
):
    """All ranks see it, and none has reported anything."""
    monkeypatch.setattr("valloss_compat.hooks.val_loss_hook.get_world_size", lambda: 2)
    loss = hook(on_unsupported="warn")
    runner = make_runner(tmp_path, loss, model=Other(), log_level="WARNING")
    runner.call_hook("before_val")
    assert "ValLossHook has no validation loss: Other" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
def test_who_misses_a_refused_loss_is_told_of_the_refusal(tmp_path, capsys):
    """Neither the model nor a hook that is missing is to blame."""
    stopping = EarlyStoppingHook(monitor="val_loss")
    runner = make_runner(
        tmp_path,
        hook(on_unsupported="warn"),
        stopping,
        model=Other(),
        log_level="WARNING",
    )
    runner.train()
    said = capsys.readouterr().out
    assert said.count("ValLossHook has refused to give one, for the reason") == 1
    assert "appended no loss element" not in said


def test_other_losses_than_in_the_last_validation_are_told(tmp_path, changing, capsys):
    """As where mmdet's YOLOX turns its L1 loss on: val_loss is of more parts then."""
    told = []
    model = changing(lambda head: told.append(1))
    loss = model.loss

    def one_more(scores, data_samples):
        losses = loss(scores, data_samples)
        more = {2: {"loss_l1": losses["acc"]}, 3: {"loss_l2": losses["acc"]}}
        return {**losses, **more.get((len(told) - 1) // 3, {})}

    vars(model)["loss"] = one_more
    runner = make_runner(
        tmp_path, hook(strategy="second_forward"), model=model, log_level="WARNING"
    )
    runner.val()
    for _ in range(3):
        runner.val_loop.run()
    text = "".join(capsys.readouterr())
    assert text.count("only one of this validation and the last has") == 2
    assert text.count("the last has loss_l1; their val_loss") == 1
    assert text.count("the last has loss_l1, loss_l2; their val_loss") == 1


def test_a_loss_that_raises_is_refused_with_its_error(tmp_path, changing):
    """As of heads that compute losses in training mode only."""
    model = changing(lambda head: head.no_such_thing)
    refusal = refused(tmp_path, model, "AttributeError", strategy="second_forward")
    assert "no_such_thing" in refusal.reason


@pytest.mark.parametrize(
    ("losses", "match"),
    [
        (torch.ones(()), "returned a Tensor"),
        ({"loss": 1.0}, "the loss 'loss' is a float"),
        ({"loss": [1.0]}, "the loss 'loss' is a list"),
    ],
)
def test_losses_that_no_training_could_reduce_are_refused(
    tmp_path, monkeypatch, losses, match
):
    """A dict of tensors and lists of tensors is what mode 'loss' has to return."""
    monkeypatch.setattr(Classifier, "loss", lambda *_: losses)
    refused(tmp_path, Classifier(), match)


def test_odd_values_are_reduced_as_they_can(tmp_path, monkeypatch):
    """Integers as numbers; an empty list counts for nothing."""
    losses = {
        "loss": torch.tensor([1, 2]),
        "loss_none": [],
        "loss_two": [torch.ones(2)] * 2,
    }
    monkeypatch.setattr(Classifier, "loss", lambda *_: losses)
    metrics = make_runner(tmp_path, hook()).val()
    assert {k: metrics[k] for k in metrics if "loss" in k} == {
        "loss": 1.5,
        "loss_two": 2.0,
        "val_loss": 3.5,
    }


def test_results_that_are_no_list_are_refused(tmp_path, monkeypatch):
    """No element can be appended to a dict."""
    monkeypatch.setattr(Classifier, "predict", lambda *_: {"scores": 1})
    refused(tmp_path, Classifier(), "returned a dict")


def test_a_batch_that_cannot_be_copied_is_refused(tmp_path):
    """Without a copy the loss would see what predict wrote."""

    class Stuck:
        def __deepcopy__(self, memo):
            raise TypeError("stuck")

    stuck = Stuck()
    batch = {"inputs": [torch.ones(4)], "data_samples": [stuck]}
    runner = make_runner(tmp_path, hook())
    runner.val_loop.run()
    with pytest.raises(UnsupportedError, match="cannot be copied"):
        runner.val_loop.run_iter(0, batch)


def test_half_an_epoch_is_not_reported(tmp_path, changing):
    """Where the third batch is refused, the losses of the first two are taken back."""
    turns = []

    def act(head):
        turns.append(1)
        if len(turns) == 3:
            head.last = 1.0

    runner = make_runner(
        tmp_path,
        hook(strategy="second_forward", on_unsupported="warn"),
        model=changing(act),
    )
    assert set(runner.val()) == {"mean/score"}
    assert set(runner.val_loop.run()) == {"mean/score"}
    assert len(turns) == 3
