"""Classes of users that are hard to patch."""

from __future__ import annotations

import gc
from abc import ABCMeta

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, LogProcessor, ValLoop, loops
from support.tiny import Spy, element, make_runner, sample

import valloss_compat
from valloss_compat._patches.patch import Patch, marker_of
from valloss_compat._patches.subclasses import SubclassPatcher


class Silent(ValLoop):
    """Keeps from its bases that a subclass was made."""

    def __init_subclass__(cls, **kwargs):
        pass


def own_loop(base):
    """A loop with methods of its own, made past our watch if the base is silent."""

    class Own(base):
        def run(self):
            for point in ("before_val", "before_val_epoch"):
                self.runner.call_hook(point)
            self.runner.model.eval()
            for idx, batch in enumerate(self.dataloader):
                self.run_iter(idx, batch)
            metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
            self.runner.call_hook("after_val_epoch", metrics=metrics)
            return metrics

        @torch.no_grad()
        def run_iter(self, idx, data_batch):
            self.runner.call_hook(
                "before_val_iter", batch_idx=idx, data_batch=data_batch
            )
            outputs = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)
            self.runner.call_hook(
                "after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
            )

    return Own


def names_of(cls, *methods):
    return {f"{cls.__module__}.{cls.__qualname__}.{method}" for method in methods}


def shown(cls):
    """Rows, overriding and escaping of a class."""
    status = valloss_compat.status()
    name = next(iter(names_of(cls, "")))
    rows = {p.target: p for p in status.patches if p.target.startswith(name)}
    overrides = {text for text in status.overrides if text.startswith(name)}
    unpatched_overrides = {
        text for text in status.unpatched_overrides if text.startswith(name)
    }
    return rows, overrides, unpatched_overrides


@pytest.mark.parametrize("base", [Silent, ValLoop])
def test_a_loop_that_was_made_past_our_watch_is_patched_when_it_is_built(
    tmp_path, base
):
    """Hooks never see its losses, and until it is built it is said to escape."""
    valloss_compat.apply(mode="default")
    own = own_loop(base)
    both = names_of(own, "run", "run_iter")
    unpatched_overrides = both if base is Silent else set()
    assert shown(own)[1:] == (both, unpatched_overrides)
    assert (marker_of(own.run) is None) == (base is Silent)
    for name in unpatched_overrides:
        assert f"  {name} (not patched)" in repr(valloss_compat.status()).splitlines()
    spy = Spy()
    runner = make_runner(
        tmp_path,
        lambda index, inputs: [sample(), element(loss=torch.tensor(index + 1.0))],
        custom_hooks=[spy],
    )
    runner._val_loop = own(runner, runner._val_dataloader, runner._val_evaluator)
    assert shown(own)[1:] == (both, set())
    assert runner.val()["val_loss"] == 1.5
    assert [len(outputs) for outputs in spy.outputs] == [1, 1]
    valloss_compat.revert()
    assert shown(own)[1:] == (both, set())
    assert marker_of(own.run) is None


def test_a_loop_that_validates_is_patched_when_it_is_built():
    """One of BaseLoop alone; others are left alone."""
    valloss_compat.apply(mode="default")

    class Base(BaseLoop):
        def __init_subclass__(cls, **kwargs):
            pass

    class Validates(Base):
        def run(self):
            self.runner.model.val_step(None)

    assert marker_of(Validates.run) is None
    Validates(None, [])
    assert marker_of(Validates.run) is not None


def test_a_log_processor_of_its_own_is_said_to_escape():
    """It is never patched."""

    class Mine(LogProcessor):
        def get_log_after_epoch(self, *args, **kwargs):
            return "mine"

    valloss_compat.apply(mode="default")
    name = names_of(Mine, "get_log_after_epoch")
    assert shown(Mine) == ({}, name, name)


def made(metaclass, root=None, **namespace):
    """A subclass, of an evaluator if of nothing else, that the metaclass makes."""
    namespace.setdefault("evaluate", lambda self, size: "own")
    return metaclass("Odd", (root or Evaluator,), namespace)


class Unhashable(ABCMeta):
    """As a metaclass that defines how its classes compare."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other):
        raise TypeError("not to be compared")


@pytest.mark.parametrize("root", [Evaluator, ValLoop, loops.TestLoop, BaseLoop])
def test_a_metaclass_without_hash_and_equality_is_served(root):
    """Also where all are found anew."""
    valloss_compat.apply(mode="default")

    def run(self):
        self.val_step()

    odd = made(Unhashable, root, run=run)
    method = "evaluate" if root is Evaluator else "run"
    for _ in range(2):
        assert marker_of(vars(odd)[method]) is not None
        assert shown(odd)[2] == set()
        valloss_compat.revert()
        assert marker_of(vars(odd)[method]) is None
        valloss_compat.apply()


class Refusing(type):
    """Lets nobody change its classes while told so."""

    refuses = True

    def __setattr__(cls, name, value):
        if Refusing.refuses:
            raise AttributeError("hands off")
        super().__setattr__(name, value)


def test_a_class_that_refuses_is_left_alone_and_told(monkeypatch):
    """The class is made, the others are patched."""
    valloss_compat.apply(mode="default")
    odd = made(Refusing)
    after = made(type)
    for status in (valloss_compat.status(), valloss_compat.apply()):
        rows, overrides, unpatched_overrides = shown(odd)
        assert overrides == unpatched_overrides == names_of(odd, "evaluate")
        assert marker_of(after.evaluate) is not None
        (states,) = {
            (p.state, p.reason) for p in status.patches if p.target in rows
        } - {("active", "")}
        assert states == ("inactive", "AttributeError: hands off")
    # One that changes its mind: what cannot be taken off is switched off.
    monkeypatch.setattr(Refusing, "refuses", False)
    valloss_compat.apply()
    assert marker_of(odd.evaluate) is not None
    monkeypatch.setattr(Refusing, "refuses", True)
    patch = Patch(odd, "evaluate", lambda call, *args: call(*args))
    patch.apply()
    patch.revert()
    assert patch.state == "disabled"
    assert patch.reason == "AttributeError: hands off; ours only calls the original now"
    assert odd.evaluate(None, 1) == "own"
    valloss_compat.revert()
    assert marker_of(after.evaluate) is None
    monkeypatch.setattr(Refusing, "refuses", False)
    valloss_compat.apply()
    valloss_compat.revert()
    assert marker_of(odd.evaluate) is None


def test_a_class_that_cannot_be_looked_at_is_left_alone_and_told():
    """Until it dies; a class statement never fails by us."""

    class Root:
        def greet(self):
            return "hello"

    def only(cls):
        if cls.__name__ == "Odd":
            raise ValueError("no idea")
        return True

    def shout(call, *args):
        return call(*args).upper()

    family = SubclassPatcher(Root, {"greet": shout}, only=only)
    family.apply()
    odd = made(type, Root, greet=lambda self: "odd")
    family.apply()
    assert (odd().greet(), Root().greet()) == ("odd", "HELLO")
    assert family.notes() == [f"{odd!r} is left alone: ValueError: no idea"]
    del odd
    gc.collect()
    assert family.notes() == []
