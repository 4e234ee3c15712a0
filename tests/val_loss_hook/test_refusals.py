"""What is not known to be right gives no number, and says why and what to do."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from val_loss_hook.models import (
    Classifier,
    Head,
    Known,
    Watch,
    expected,
    hook,
    make_runner,
)
from valloss_compat import adapters
from valloss_compat.adapters import UnsupportedError
from valloss_compat.hooks import EarlyStoppingHook


class Other(Classifier):
    """A user's own: it has a loss of its own."""

    def loss(self, scores, data_samples):
        return super().loss(scores, data_samples)


def _own_init(self):
    Classifier.__init__(self)


#: A user's own that only has an ``__init__``.
Plain = type("Plain", (Classifier,), {"__module__": "mine", "__init__": _own_init})


def refused(work_dir, model, match, **options):
    with pytest.raises(UnsupportedError, match=match) as caught:
        make_runner(work_dir, hook(**options), model=model).val()
    return caught.value.refusal


def test_a_model_that_no_table_knows_is_refused_before_training(tmp_path, monkeypatch):
    """By its full name, with the option that lets it in."""
    runner = make_runner(tmp_path, hook(), model=Other())
    monkeypatch.setattr(adapters, "_registered", {})
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
    monkeypatch.setattr(adapters, "_registered", {})
    trust = [f"{Classifier.__module__}.Classifier"]
    metrics = make_runner(tmp_path, hook(trust=trust)).val()
    assert metrics["val_loss"] == pytest.approx(expected(Classifier())["val_loss"])


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


class Changing(Head):
    """Does something in mode ``'loss'`` only, as told."""

    def __init__(self, act):
        super().__init__()
        self.act, self.seen, self.last = act, [], 0.0
        self.register_buffer("count", torch.zeros(2))

    def forward(self, features):
        scores = super().forward(features)
        if self.losing:
            self.act(self)
        return scores


@pytest.fixture
def changing(monkeypatch):
    """Makes a model whose head does something in mode ``'loss'``."""
    monkeypatch.setattr(Known, "known", ("Head", "Changing"))

    def make(act):
        model = Classifier()
        model.head = Changing(act)
        model.head.losing = False
        inner = model._run_forward

        def run_forward(data, mode):
            vars(model.head)["losing"] = mode == "loss"
            try:
                return inner(data, mode)
            finally:
                vars(model.head)["losing"] = False

        vars(model)["_run_forward"] = run_forward
        return model

    return make


def test_a_buffer_is_put_back_and_the_number_stands(tmp_path, changing):
    """Bit for bit, in place, after each batch."""
    seen = []

    def act(head):
        seen.append(head.count.tolist())
        head.count += 1

    model = changing(act)
    buffer = model.head.count
    metrics = make_runner(tmp_path, hook(strategy="second_forward"), model=model).val()
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


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (_set, "last"),
        (_append, "seen"),
        (_new_name, "brand_new"),
        (_new_buffer, "other"),
        (_replaced_buffer, "count"),
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
    assert refusal.part == f"Classifier.head.{name}"
    assert (sorted(vars(model.head)), list(model.head.seen), model.head.last) == before
    assert sorted(model.head._buffers) == ["count"]
    assert model.head.count.tolist() == [0.0, 0.0]


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


def test_a_parameter_is_put_back_at_first_and_ends_the_run_later(tmp_path, changing):
    """There is a copy for the first batch only; afterwards nothing is silent."""
    turns = []

    def act(head):
        turns.append(1)
        if len(turns) in (1, 3):
            head.fc.weight.data.add_(1) if len(turns) == 1 else head.fc.weight.add_(1)

    model = changing(act)
    weight = model.head.fc.weight.tolist()
    runner = make_runner(
        tmp_path,
        hook(strategy="second_forward", on_unsupported="warn"),
        model=model,
    )
    seen = []

    class See(Hook):
        def after_val_iter(self, *args, **kwargs):
            seen.append(model.head.fc.weight.tolist() == weight)

    runner.register_hook(See())
    with pytest.raises(RuntimeError, match=r"changed the parameters head\.fc\.weight"):
        runner.val()
    assert seen == [True, True]


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


def test_other_losses_than_in_the_last_validation_are_told(tmp_path, changing, capsys):
    """As where mmdet's YOLOX turns its L1 loss on: val_loss is of more parts then."""
    told = []
    model = changing(lambda head: told.append(1))
    loss = model.loss

    def one_more(scores, data_samples):
        losses = loss(scores, data_samples)
        return {**losses, "loss_l1": losses["acc"]} if len(told) > 3 else losses

    vars(model)["loss"] = one_more
    runner = make_runner(
        tmp_path, hook(strategy="second_forward"), model=model, log_level="WARNING"
    )
    runner.val()
    runner.val_loop.run()
    runner.val_loop.run()
    text = capsys.readouterr()
    assert (text.out + text.err).count("the last has loss_l1; their val_loss") == 1


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


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"strategy": "third"}, "strategy is 'third'"),
        ({"on_unsupported": "ignore"}, "on_unsupported is 'ignore'"),
        ({"dataloader": {}}, "dataloader is given"),
        ({"strategy": "dataloader"}, "dataloader is None"),
        ({"trust": "my.Model"}, r"\['my.Model'\]"),
        ({"trust": 1}, r"trust is 1, but .*: \['my.module.Model'\]"),
        (
            {"strategy": "dataloader", "dataloader": {"dataset": {}, "batch_size": 2}},
            r"has the entries \['dataset', 'batch_size'\], but no sampler: as val_data",
        ),
        (
            {"strategy": "dataloader", "dataloader": {}},
            r"dataloader has the entries \[\], but no dataset and no sampler: ",
        ),
        (
            {"strategy": "dataloader", "dataloader": "val"},
            "dataloader is a str, but a config as val_dataloader or a torch DataLoader",
        ),
        ({"trust": ["my.Model", "Mine"]}, "trust names 'Mine', but the full name of"),
        ({"trust": ["my.module.Net"]}, "'my.module' stands for the module that"),
    ],
)
def test_options_that_contradict(options, match):
    """Named with what was got and what was expected."""
    with pytest.raises(ValueError, match=match):
        hook(**options)


def test_trust_none_is_trust_in_nobody():
    """As a config of its own may leave it out."""
    assert hook(trust=None).trust == hook().trust == ()
