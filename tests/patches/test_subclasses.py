"""Patches of a class and of its subclasses, created before or later."""

from __future__ import annotations

import gc
import weakref
from typing import ClassVar

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, ValLoop
from support.greeting import make_base, shout
from support.tiny import Spy, element, make_runner, sample

import valloss_compat
from valloss_compat._patches.patch import marker_of
from valloss_compat._patches.subclasses import SubclassPatcher


def exclaim(original, args, kwargs):
    """A wrapper that adds one exclamation mark a call."""
    return original(*args) + "!"


def patcher_of(root, **wrappers):
    """A patcher that has these wrappers, by the names of the methods."""
    patcher = SubclassPatcher(root)
    for attribute, wrapper in wrappers.items():
        patcher.add(attribute, wrapper)
    return patcher


def test_thousand_cycles_restore_the_original_objects():
    """Of own and of inherited attributes."""
    base = make_base()
    patcher = patcher_of(base, greet=shout)
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    before = {cls: dict(vars(cls)) for cls in (base, child)}
    for _ in range(1000):
        patcher.apply()
        patcher.apply()
        assert child().greet() == "HI"
        patcher.revert()
        patcher.revert()
    for cls, namespace in before.items():
        assert list(vars(cls)) == list(namespace)
        assert all(vars(cls)[key] is value for key, value in namespace.items())


def test_subclasses_created_later_are_patched_while_the_patch_is_active():
    """By ``__init_subclass__``, which passes its keywords on."""

    class Base:
        created: ClassVar[list] = []

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__()
            Base.created.append((cls.__name__, kwargs))

        def greet(self):
            return "hello"

    patcher = patcher_of(Base, greet=shout)
    patcher.apply()

    class Child(Base, tag=1):
        def greet(self):
            return "hi"

    class Grandchild(Child):
        pass

    assert (Child().greet(), Grandchild().greet()) == ("HI", "HI")
    assert Base.created == [("Child", {"tag": 1}), ("Grandchild", {})]
    ((name, is_patched),) = patcher.overrides()
    assert name.endswith("Child.greet")
    assert is_patched
    patcher.revert()
    assert Child().greet() == "hi"


def test_disabled_init_subclass_only_calls_the_original():
    """It is disabled below an ``__init_subclass__`` of other code."""
    base = make_base()
    patcher = patcher_of(base, greet=shout)
    patcher.apply()
    installed = vars(base)["__init_subclass__"].__func__
    base.__init_subclass__ = classmethod(lambda cls, **kwargs: installed(cls, **kwargs))
    patcher.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    assert child().greet() == "hi"
    assert marker_of(child.greet) is None
    patcher.apply()
    assert child().greet() == "HI"


def test_diamond_of_subclasses_is_patched_once():
    """However many bases lead to a class."""
    base = make_base()
    sides = [type(name, (base,), {}) for name in ("Left", "Right")]
    bottom = type("Bottom", tuple(sides), {"greet": lambda self: "hi"})
    patcher = patcher_of(base, greet=shout)
    patcher.apply()
    assert bottom().greet() == "HI"
    assert len(patcher.overrides()) == 1


def test_class_is_not_patched_before_apply_or_after_revert():
    """As when another thread reverts while a loop checks the class of its evaluator."""
    base = make_base()
    patcher = patcher_of(base, greet=shout)
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    patcher.ensure_patched(child)
    assert child().greet() == "hi"
    patcher.apply()
    patcher.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    patcher.ensure_patched(child)
    assert child().greet() == "hi"


def test_class_may_override_one_method_and_inherit_another():
    """The inherited one is patched in its base already; each wrapper runs once."""
    base = make_base()
    base.wave = lambda self: "bye"
    patcher = patcher_of(base, greet=exclaim, wave=exclaim)
    patcher.apply()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    grandchild = type("Grandchild", (child,), {"wave": lambda self: "see you"})
    assert (grandchild().greet(), grandchild().wave()) == ("hi!", "see you!")


class WithoutSuper(ValLoop):
    """Does not call ``super().__init_subclass__``."""

    def __init_subclass__(cls, **kwargs):
        pass


def own_loop(base):
    """Return a loop class with methods of its own."""

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
    """Return rows, overrides and unpatched overrides of a class."""
    status = valloss_compat.status()
    name = next(iter(names_of(cls, "")))
    rows = {p.target: p for p in status.patches if p.target.startswith(name)}
    overrides = {text for text in status.overrides if text.startswith(name)}
    unpatched_overrides = {
        text for text in status.unpatched_overrides if text.startswith(name)
    }
    return rows, overrides, unpatched_overrides


@pytest.mark.parametrize("base", [WithoutSuper, ValLoop])
def test_loop_class_created_without_init_subclass_is_patched_when_built(tmp_path, base):
    """Until then it is reported as not patched."""
    valloss_compat.apply(mode="default")
    own = own_loop(base)
    both = names_of(own, "run")
    unpatched_overrides = both if base is WithoutSuper else set()
    assert shown(own)[1:] == (both, unpatched_overrides)
    assert (marker_of(own.run) is None) == (base is WithoutSuper)
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


def test_loop_that_validates_is_patched_when_built():
    """Also if it derives from BaseLoop alone."""
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


class ReadOnly(type):
    """Rejects changes of its classes while ``read_only`` is set."""

    read_only = True

    def __setattr__(cls, name, value):
        if ReadOnly.read_only:
            raise AttributeError("hands off")
        super().__setattr__(name, value)


def test_class_that_cannot_be_changed_stays_unpatched_with_a_warning():
    """It is created all the same, and other classes are patched."""
    valloss_compat.apply(mode="default")
    unpatched = pytest.warns(
        valloss_compat.VallossCompatWarning,
        match=r"Odd\.evaluate stays unpatched, and .* not reported: hands off",
    )
    with unpatched:
        odd = ReadOnly("Odd", (Evaluator,), {"evaluate": lambda self, size: "own"})
    after = type("After", (Evaluator,), {"evaluate": lambda self, size: "own"})
    assert marker_of(after.evaluate) is not None
    _, overrides, unpatched_overrides = shown(odd)
    assert overrides == unpatched_overrides == names_of(odd, "evaluate")
    assert odd.evaluate(None, 1) == "own"
    ReadOnly.read_only = False
    valloss_compat.apply()
    assert marker_of(odd.evaluate) is not None


def create_classes():
    """Create fifty classes of each kind, with functions that refer to their class."""

    def make(base, method):
        def hello(self, *args):
            return super(created, self)

        created = type("Many", (base,), {method: hello})
        return created

    return [
        cls
        for _ in range(50)
        for cls in (make(ValLoop, "run"), make(Evaluator, "evaluate"))
    ]


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_patched_classes_can_be_garbage_collected(mode):
    """Also those that were patched, reverted and patched again."""
    valloss_compat.apply(mode=mode)
    classes = create_classes()
    before = [dict(vars(cls)) for cls in classes]
    valloss_compat.revert()
    more = create_classes()
    own = [dict(vars(cls)) for cls in more]
    valloss_compat.apply(mode=mode)
    assert (marker_of(more[0].run) is None) == (mode == "parity")
    valloss_compat.revert()
    for cls, namespace in zip(more, own):
        assert dict(vars(cls)) == namespace
    valloss_compat.apply(mode=mode)
    assert mode == "parity" or "Many" in repr(valloss_compat.status())
    held = [weakref.ref(cls) for cls in classes + more]
    del classes, more, cls, namespace, before, own
    gc.collect()
    assert [ref for ref in held if ref() is not None] == []
    status = valloss_compat.status()
    assert "Many" not in repr(status)
    assert "Many" not in repr(valloss_compat.revert())


def test_override_replaced_after_it_was_patched_is_reported():
    """Until it is used, or patched by the next apply()."""
    valloss_compat.revert()
    valloss_compat.apply(mode="default")

    class Sub(Evaluator):
        def evaluate(self, size):
            return {}

    def row():
        status = valloss_compat.status()
        name = f"{__name__}.{Sub.__qualname__}.evaluate"
        assert name in status.overrides
        (patch,) = [patch for patch in status.patches if patch.target == name]
        return patch, name in status.unpatched_overrides

    assert (row()[0].state, row()[1]) == ("active", False)
    Sub.evaluate = lambda self, size: {"a": 1}
    patch, unpatched = row()
    assert (patch.state, unpatched) == ("inactive", True)
    assert patch.reason.startswith("created or changed unnoticed")
    valloss_compat.apply()
    assert (row()[0].state, row()[1]) == ("active", False)


def test_method_that_the_root_lacks_is_not_patched():
    """Neither on the root nor on a subclass that has it."""
    base = make_base()
    patcher = patcher_of(base, greet=shout, lacking=shout)
    patcher.apply()
    names = {patch.attribute for patch in patcher.patches}
    assert names == {"__init_subclass__", "greet"}
    patcher.revert()
