"""Which mmengine this is is seen by its features."""

from __future__ import annotations

import importlib
import inspect
import sys
import types

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import LogProcessor, loops

import valloss_compat
from valloss_compat._patches import patch_set
from valloss_compat._patches.mmengine_api import Inspection, inspect_mmengine

NATIVE = hasattr(loops, "_update_losses")


@pytest.fixture
def shape():
    """Look at a copy of mmengine's loops, changed as told."""

    def look(evaluator=Evaluator, log_processor=LogProcessor, **changes):
        copy = types.ModuleType(loops.__name__)
        vars(copy).update(vars(loops))
        for name, value in changes.items():
            if value is None:
                vars(copy).pop(name, None)
            else:
                setattr(copy, name, value)
        return inspect_mmengine(copy, evaluator, log_processor)

    return look


def compiled(source, name, file=loops.__file__):
    """A function that says it comes from mmengine's own file."""
    namespace = {}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


def changed(run_iter):
    """Mmengine's ValLoop, as it would be with another ``run_iter``."""
    names = {"run_iter": run_iter, "__module__": loops.__name__}
    return type("ValLoop", (loops.ValLoop,), names)


def test_this_mmengine_is_known(shape):
    """Every release in the matrix is."""
    assert shape() == (NATIVE, "")


def test_the_helpers_make_it_native(shape):
    """Not the version number; without them what has to do with losses is unknown."""
    gone = {"_update_losses": None, "_parse_losses": None}
    assert shape(**gone) == (
        (False, LOSSES.format("ValLoop", "val_loss")) if NATIVE else (False, "")
    )
    gone["_update_losses"] = compiled("def helper(outputs, losses): pass", "helper")
    assert shape(**gone) == (True, "there is _update_losses without its twin")


LOSSES = "{} has to do with a loss ({}), and there is none of the known helpers"
NO_LONGER = "ValLoop.run_iter no longer calls {}"
RUN_ITER = """
def run_iter(self, idx, batch):
    outputs = self.runner.model.{step}(batch)
    outputs, self.val_loss = _update_losses(outputs, self.val_loss)
    self.evaluator.{process}(data_samples=outputs)
    self.runner.{call_hook}('after_val_iter')
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"step": "validation_step"}, NO_LONGER.format("val_step")),
        ({"process": "add"}, NO_LONGER.format("process")),
        ({"call_hook": "hooks"}, NO_LONGER.format("call_hook")),
    ],
)
def test_a_loop_that_works_otherwise_is_an_unknown_shape(shape, source, said):
    """Named by what it no longer calls."""
    names = {"step": "val_step", "process": "process", "call_hook": "call_hook"}
    run_iter = compiled(RUN_ITER.format(**{**names, **source}), "run_iter")
    assert shape(ValLoop=changed(run_iter)).unknown == said


def test_what_is_gone_is_an_unknown_shape(shape):
    """Named by what is missing; nothing raises."""
    gone = "there is no {} where it was"
    assert shape(ValLoop=None).unknown == gone.format("ValLoop.run_iter")
    assert shape(BaseLoop=None).unknown == gone.format("BaseLoop")
    assert shape(evaluator=None).unknown == gone.format("Evaluator.process")
    assert shape(evaluator=object).unknown == gone.format("Evaluator.process")
    assert shape(log_processor=None).unknown == gone.format(
        "LogProcessor.get_log_after_epoch"
    )


def test_an_evaluator_with_other_arguments_is_an_unknown_shape(shape):
    """The seam finds the step's result by its name."""
    source = "def process(self, outputs, data_batch=None): pass"
    file = inspect.getsourcefile(Evaluator)
    process = compiled(source, "process", file)
    changed = type("Evaluator", (Evaluator,), {"process": process})
    changed.__module__ = Evaluator.__module__
    assert shape(evaluator=changed).unknown == (
        "Evaluator.process takes ('outputs', 'data_batch'), no data_samples"
    )


@pytest.mark.skipif(not NATIVE, reason="no helpers before mmengine 0.10.5")
def test_helpers_that_are_called_otherwise_are_an_unknown_shape(shape):
    """By other arguments, or not by the loops at all."""
    for names in (("results", "losses"), ("losses", "outputs")):
        helper = compiled(f"def helper({', '.join(names)}): pass", "helper")
        assert shape(_update_losses=helper).unknown == (
            f"_update_losses takes {names}, and not ('outputs', 'losses')"
        )
    run_iter = compiled(
        "def run_iter(it): it.val_step, it.process, it.call_hook, it.val_loss",
        "run_iter",
    )
    assert shape(ValLoop=changed(run_iter)).unknown == NO_LONGER.format(
        "_update_losses"
    )


def test_a_foreign_wrapper_is_no_unknown_shape(shape):
    """It hides the code; nothing speaks against patching."""
    source = "def foreign(self, *args): pass"
    files = [compiled(source, "foreign", file) for file in ("!", "~")]
    for foreign in (lambda self, *args: None, len, *files):
        assert shape(ValLoop=changed(foreign)).unknown == ""
        names = {"process": foreign, "__module__": Evaluator.__module__}
        assert shape(evaluator=type("Own", (Evaluator,), names)).unknown == ""
        if NATIVE:
            assert shape(_update_losses=foreign).unknown == ""


@pytest.fixture
def load(monkeypatch):
    """Load mmengine, where the import of one module fails."""

    def load(module, error):
        def import_module(name):
            if name == module:
                raise error
            return importlib.import_module(name)

        fake = types.SimpleNamespace(import_module=import_module)
        monkeypatch.setattr(patch_set, "importlib", fake)
        return patch_set.load()

    return load


def missing(name):
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_module_that_has_moved_is_for_the_shape_to_tell(load):
    """But for mmengine.runner: without that there is nothing to patch."""
    for place in ("mmengine.runner.loops", "mmengine.evaluator"):
        targets = load(place, missing(place))
        assert (targets.loops is None) == (place == "mmengine.runner.loops")
        assert (targets.evaluator is None) == (place == "mmengine.evaluator")
        assert targets.log_processor is LogProcessor
    with pytest.raises(valloss_compat.UnusableMMEngineError) as caught:
        load("mmengine.runner", missing("mmengine.runner"))
    assert caught.value.name == "mmengine.runner"


@pytest.mark.parametrize(
    ("error", "name", "remedy"),
    [
        (missing("torchvision.ops"), "torchvision.ops", "mmengine before 0.5.0 imp"),
        (missing("yapf"), "yapf", "pip install 'yapf"),
        (AttributeError("odd"), "mmengine", "make `import mmengine.runner` work"),
    ],
)
def test_what_mmengine_cannot_import_is_named(load, error, name, remedy):
    """As of any ImportError, and in the message with its remedy."""
    with pytest.raises(valloss_compat.UnusableMMEngineError) as caught:
        load("mmengine.runner.loops", error)
    assert caught.value.name == name
    assert f"Remedy: {remedy}" in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "native", "name"),
    [
        ("default", False, "add"),
        ("default", True, "correct"),
        ("parity", False, "add"),
        ("parity", True, "native"),
    ],
)
def test_plans(monkeypatch, mode, native, name):
    """One plan for each mode and shape; parity leaves what is native alone."""
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(native, "")
    )
    plan = patch_set.plan(mode)
    assert (plan.name, plan.applies) == (name, name != "native")
    assert plan.reason
    targets = [patch.name for patch in plan.patches]
    assert "mmengine.registry.registry.Registry.get" in targets
    assert (len(plan.parts) == 1) == (name == "native")


def test_an_unknown_shape_is_left_alone(monkeypatch):
    """The targets are listed with the reason, and nothing is put on."""
    valloss_compat.revert()
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(True, "odd")
    )
    plan = patch_set.plan("default")
    assert (plan.name, plan.reason, plan.applies) == ("unknown", "odd", False)
    plan.apply()
    looks = [patch.look() for patch in plan.patches]
    assert {(look.state, look.reason) for look in looks} == {("inactive", "odd")}
    assert plan.patches[0].name == "mmengine.runner.loops.ValLoop.run"
    assert looks[0].owner == looks[0].original == plan.patches[0].name
    plan.revert()
    assert looks == [patch.look() for patch in plan.patches]


def test_what_the_seams_miss_of_mmengine_makes_it_unknown(monkeypatch):
    """An import that fails is told, and never ends a training."""
    monkeypatch.delattr("mmengine.logging.HistoryBuffer")
    for name in [name for name in sys.modules if name.startswith("valloss_compat")]:
        if "recorder" in name or "parity" in name:
            monkeypatch.delitem(sys.modules, name)
    plan = patch_set.plan("parity" if not NATIVE else "default")
    assert plan.name == "unknown"
    assert "HistoryBuffer" in plan.reason
