"""What a loss changes or draws besides is put back, or else it gives no number."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from loss_forward.models import Classifier, Head, Known, hook, make_runner
from loss_forward.refusal import refused
from valloss_compat._libraries import base


def test_a_buffer_is_put_back_and_the_number_stands(tmp_path, changing, capsys):
    """Bit for bit, in place, after each batch; said once."""
    seen = []

    def act(head):
        seen.append(head.count.tolist())
        head.count += 1

    model = changing(act)
    buffer = model.head.count
    loss = hook(strategy="second_forward")
    metrics = make_runner(tmp_path, loss, model=model, log_level="WARNING").val()
    assert capsys.readouterr().out.count("changed head.count in eval mode; they") == 1
    assert seen == [[0.0, 0.0]] * 3
    assert model.head.count is buffer
    assert buffer.tolist() == [0.0, 0.0]
    assert metrics["val_loss"] > 0


def _set(head):
    head.last = 1.0


def _append(head):
    head.seen.append(1)


def _new_name(head):
    head.brand_new = 1


def _new_buffer(head):
    head.register_buffer("other", torch.ones(1))


def _replaced_buffer(head):
    head.count = torch.ones(2)


def _several(head):
    head.last = 1.0
    head.seen.append(1)


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (_set, "last"),
        (_append, "seen"),
        (_new_name, "brand_new"),
        (_new_buffer, "other"),
        (_replaced_buffer, "count"),
        (_several, "seen"),
    ],
)
def test_a_python_attribute_that_changes_is_refused_and_put_back(
    tmp_path, changing, act, name
):
    """The loss may depend on it, and on how many batches came before."""
    model = changing(act)
    before = (sorted(vars(model.head)), list(model.head.seen), model.head.last)
    refusal = refused(
        tmp_path, model, f"changed head.{name}", strategy="second_forward"
    )
    assert refusal.component == f"Classifier.head.{name}"
    assert (sorted(vars(model.head)), list(model.head.seen), model.head.last) == before
    assert sorted(model.head._buffers) == ["count"]
    assert model.head.count.tolist() == [0.0, 0.0]


def test_what_an_adapter_lets_a_part_change_is_put_back(
    tmp_path, changing, monkeypatch
):
    """By its name, however deep in the model: the loss stands."""
    monkeypatch.setattr(Known, "may_change", ("noted",))
    model = changing(lambda head: setattr(head.fc, "noted", 1))
    metrics = make_runner(tmp_path, hook(strategy="second_forward"), model=model).val()
    assert metrics["val_loss"] > 0
    assert not hasattr(model.head.fc, "noted")


def test_a_shared_head_is_guarded_all_the_same(tmp_path, monkeypatch):
    """Its forward may be answered from memory: its loss runs."""
    monkeypatch.setattr(Known, "known", ("Head", "Counting"))

    class Counting(Head):
        calls = 0

        def loss(self):
            self.calls += 1

    class Asking(Classifier):
        def loss(self, scores, data_samples):
            self.head.loss()
            return super().loss(scores, data_samples)

    model = Asking()
    model.head = Counting()
    trust = [f"{Asking.__module__}.{Asking.__qualname__}"]
    assert "changed head.calls" in refused(tmp_path, model, "calls", trust=trust).reason
    assert model.head.calls == 0


class See(Hook):
    """Whether a weight is what it was, after each batch of a validation."""

    def __init__(self, weight):
        self.weight, self.before, self.seen = weight, weight.tolist(), []

    def after_val_iter(self, *args, **kwargs):
        self.seen.append(self.weight.tolist() == self.before)


def _write(turn, through_data):
    """A loss that writes into a parameter in one turn, or from it on."""
    turns = []

    def act(head):
        turns.append(1)
        if len(turns) in turn:
            weight = head.fc.weight
            (weight.data if through_data else weight).add_(1)

    return act


def _validating(tmp_path, model):
    runner = make_runner(
        tmp_path,
        hook(strategy="second_forward", on_unsupported="warn"),
        model=model,
        log_level="WARNING",
    )
    see = See(model.head.fc.weight)
    runner.register_hook(see)
    return runner, see


@pytest.mark.parametrize("through_data", [True, False])
@pytest.mark.parametrize("turns", [(1, 2, 3), (1, 3)])
def test_a_parameter_that_changes_at_first_is_put_back_each_time(
    tmp_path, changing, capsys, turns, through_data
):
    """As a momentum encoder's: through ``.data`` there is no version to watch."""
    model = changing(_write(turns, through_data))
    runner, see = _validating(tmp_path, model)
    assert runner.val()["val_loss"] > 0
    assert see.seen == [True, True, True]
    assert "changed head.fc.weight in eval mode" in capsys.readouterr().out


def test_a_parameter_that_changes_later_ends_the_run(tmp_path, changing):
    """There is a copy for the first batch only; afterwards nothing is silent."""
    model = changing(_write((3,), False))
    runner, see = _validating(tmp_path, model)
    with pytest.raises(RuntimeError, match=r"changed head\.fc\.weight"):
        runner.val()
    assert see.seen == [True, True]


def test_a_loss_that_draws_is_refused_unless_it_may(tmp_path, changing, monkeypatch):
    """Its value hangs on the seed; what was drawn is given back either way."""
    model = changing(lambda head: torch.rand(1))
    torch.manual_seed(11)
    state = torch.get_rng_state()
    refused(tmp_path, model, "drew random numbers", strategy="second_forward")
    monkeypatch.setattr(Known, "may_draw", True)
    runner = make_runner(tmp_path, hook(strategy="second_forward"), model=model)
    torch.set_rng_state(state)
    assert runner.val()["val_loss"] > 0


def test_a_trusted_loss_of_no_known_library_may_draw(tmp_path, changing, monkeypatch):
    """Whoever trusts it answers for that as well."""
    monkeypatch.setattr(base, "_registered", {})
    model = changing(lambda head: torch.rand(1))
    options = {"trust": [f"{Classifier.__module__}.Classifier"]}
    runner = make_runner(tmp_path, hook(**options), model=model)
    assert runner.val()["val_loss"] > 0


def test_a_loss_that_may_draw_draws_the_same_each_time(tmp_path, changing, monkeypatch):
    """So that validations can be compared, whatever the training drew between."""
    drawn = []
    model = changing(lambda head: drawn.append(float(torch.rand(1))))
    monkeypatch.setattr(Known, "may_draw", True)
    runner = make_runner(tmp_path, hook(strategy="second_forward"), model=model)
    runner.val()
    torch.manual_seed(12)
    runner.val_loop.run()
    assert len(drawn) == 6
    assert len(set(drawn)) == 1


def test_what_a_loss_logs_is_taken_back(tmp_path, changing):
    """The message hub belongs to training."""

    def act(head):
        hub = MessageHub.get_current_instance()
        hub.update_scalar("train/other", 1.0)
        hub.update_scalar("train/known", 2.0)
        hub.update_info("odd", 1)

    runner = make_runner(tmp_path, hook(strategy="second_forward"), model=changing(act))
    runner.message_hub.update_scalar("train/known", 1.0)
    runner.val()
    assert "train/other" not in runner.message_hub.log_scalars
    assert runner.message_hub.get_scalar("train/known").data[0].tolist() == [1.0]
    assert "odd" not in runner.message_hub.runtime_info
