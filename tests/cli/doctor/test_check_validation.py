"""``doctor`` really validates: what others did to mmengine is seen by its numbers."""

from __future__ import annotations

import pytest
from mmengine.runner import loops

from cli.doctor.runs import examine, texts

NATIVE = hasattr(loops, "_update_losses")

# What somebody does after our import, and what doctor has to name.
REPLACED = {
    "Evaluator.process": """
def process(self, data_samples, data_batch=None):
    samples = [getattr(s, 'to_dict', lambda: s)() for s in data_samples]
    for metric in self.metrics:
        metric.process(data_batch, samples)
Evaluator.process = process
""",
    "ValLoop.run_iter": """
def run_iter(self, idx, data_batch):
    with torch.no_grad():
        result = self.runner.model.val_step(data_batch)
        self.evaluator.process(result, data_batch)
    self.runner.call_hook('after_val_iter', batch_idx=idx, outputs=result)
loops.ValLoop.run_iter = run_iter
""",
    "ValLoop.run_iter, past the evaluator": """
def run_iter(self, idx, data_batch):
    with torch.no_grad():
        result = self.runner.model.val_step(data_batch)
    samples = [s.to_dict() for s in result if 'loss' not in s]
    for metric in self.evaluator.metrics:
        metric.process(data_batch, samples)
    self.runner.call_hook('after_val_iter', batch_idx=idx, outputs=result)
loops.ValLoop.run_iter = run_iter
""",
    "Evaluator.evaluate": """
def evaluate(self, size):
    metrics = {}
    for metric in self.metrics:
        metrics.update(metric.evaluate(size))
    return metrics
Evaluator.evaluate = evaluate
""",
}
# What the self-check says then: nothing where the number is right all the same, as
# the other patches, or native mmengine's own helpers, see to it.
NO_LOSS = "there is no val_loss after epoch 1, where 2.5 was expected"
WANTED = {
    "Evaluator.evaluate": () if NATIVE else (NO_LOSS,),
    "Evaluator.process": ()
    if NATIVE
    else (NO_LOSS, "loss elements reached the metric"),
    "ValLoop.run_iter": (),
    "ValLoop.run_iter, past the evaluator": (NO_LOSS,),
}
BEFORE = """
import functools, torch
import valloss_compat
from mmengine.evaluator import Evaluator
from mmengine.runner import loops
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "values"),
    [("parity", "2.5 and 3.5"), ("weighting=sample", "2.2 and 3.2")],
)
def test_a_self_check_that_the_patch_really_runs_with_other_options(
    nursery, tmp_path, variable, values
):
    """It expects what the options ask for."""
    told = examine(nursery, tmp_path, env={"VALLOSS_COMPAT": variable})
    assert texts(told, "problem") == []
    assert any(f"val_loss = {values}" in text for text in texts(told, "ok"))
    nothing = f"patches: nothing to patch: {told['status']['reason']}"
    assert (nothing in texts(told, "ok")) == (variable == "parity" and NATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted(REPLACED))
def test_a_self_check_sees_a_patch_that_was_replaced(nursery, tmp_path, place):
    """Somebody put a method of their own in the place of ours."""
    target = place.partition(",")[0]
    told = examine(nursery, tmp_path, before=BEFORE + REPLACED[place])
    problems = texts(told, "problem")
    assert any(text.startswith("patches: ") and target in text for text in problems)
    states = [patch["state"] for patch in told["status"]["patches"]]
    assert states.count("active") == len(states) - 1
    count = f"patches: {len(states) - 1} patches are applied: "
    assert any(text.startswith(count) for text in texts(told, "ok"))
    seen = [text for text in problems if text.startswith("validation: ")]
    wanted = WANTED[place]
    assert len(seen) == bool(wanted)
    assert all(text in seen[0] for text in wanted)
    if not wanted:
        assert any("val_loss = 2.5 and 3.5" in text for text in texts(told, "ok"))


@pytest.mark.slow
@pytest.mark.skipif(NATIVE, reason="in mode 'parity' nothing is patched there")
def test_a_self_check_sees_it_in_mode_parity(nursery, tmp_path):
    """What was replaced is not put back before it is looked at."""
    env = {"VALLOSS_COMPAT": "parity"}
    before = BEFORE + REPLACED["Evaluator.process"]
    told = examine(nursery, tmp_path, env=env, before=before)
    problems = [t for t in texts(told, "problem") if t.startswith("patches: ")]
    assert "Evaluator.process is replaced" in problems[0]


@pytest.mark.slow
def test_a_wrapper_around_ours_is_fine(nursery, tmp_path):
    """Who calls what was there before does no harm."""
    wrap = """
def around(original):
    @functools.wraps(original)
    def process(*args, **kwargs):
        return original(*args, **kwargs)
    return process
Evaluator.process = around(Evaluator.process)
"""
    assert texts(examine(nursery, tmp_path, before=BEFORE + wrap), "problem") == []


EVALUATORS = """
class Sound(Evaluator):
    def evaluate(self, size):
        return super().evaluate(size)

class Broken(Evaluator):
    def evaluate(self, size):
        super().evaluate(size)
        return ()

class Hidden(Evaluator):
    def __init__(self, metrics):
        super().__init__(metrics)
        self.process = self.gather

    def process(self, *args, **kwargs):
        raise AssertionError

    def gather(self, data_samples, data_batch=None):
        samples = [sample.to_dict() for sample in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, samples)

class Refusing(Evaluator):
    def __init__(self, metrics):
        raise ValueError('not today')

    def process(self, data_samples, data_batch=None):
        super().process(data_samples, data_batch)

class Choosy(Evaluator):
    def __init__(self, metrics, names):
        super().__init__(metrics)

    def process(self, data_samples, data_batch=None):
        super().process(data_samples, data_batch)

from mmengine.runner import LogProcessor

class Logs(LogProcessor):
    def get_log_after_epoch(self, *args, **kwargs):
        return super().get_log_after_epoch(*args, **kwargs)
"""


@pytest.mark.slow
def test_evaluators_of_their_own_are_tried_out(nursery, tmp_path):
    """A broken one is named; of one that cannot be built nothing is said."""
    told = examine(nursery, tmp_path, before=BEFORE + EVALUATORS)
    of = {}
    for finding in told["findings"]:
        of.setdefault(finding["check"], []).append(finding)
    assert of["validation.Sound"][0]["severity"] == "ok"
    assert of["validation.Broken"][0]["severity"] == "problem"
    if not NATIVE:  # its own helper takes the element off before
        hidden = [finding["text"] for finding in of["validation.Hidden"]]
        assert any("loss elements reached the metric" in text for text in hidden)
        assert any("there is no val_loss" in text for text in hidden)
    # As mmdet's MultiDatasetsEvaluator: what no config names is not asked for.
    assert not {"validation.Refusing", "validation.Choosy"} & set(of)
    (unpatched_overrides,) = [
        text for text in texts(told, "note") if "not patched," in text
    ]
    assert "Logs.get_log_after_epoch" in unpatched_overrides
    overrides = [text for text in texts(told, "note") if "override" in text]
    assert len(overrides) == 1
    assert "Sound.evaluate" in overrides[0]
    assert "Logs." not in overrides[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "valloss_compat._recording.recorder.means_with_total = "
            "lambda sums, stage: {}\n"
            "import valloss_compat._recording.epoch\n"
            "valloss_compat._recording.epoch.means_with_total = lambda sums, stage: "
            "{'val_loss': 4.0}",
            "val_loss is 4 after epoch 1, but 2.5 was expected; "
            "val_loss is 4 after epoch 2, but 3.5 was expected",
        ),
        (
            "from mmengine.hooks import CheckpointHook\n"
            "CheckpointHook.after_val_epoch = lambda *args, **kwargs: None",
            "CheckpointHook kept no best checkpoint",
        ),
        (
            "from valloss_compat.hooks import EarlyStoppingHook\n"
            "EarlyStoppingHook.after_val_epoch = lambda *args, **kwargs: None",
            "EarlyStoppingHook ended the training after epoch 3, but 2 was expected",
        ),
        (
            "from mmengine.evaluator import BaseMetric\n"
            "from mmengine.hooks import Hook\n"
            "from mmengine.runner import Runner\n"
            "known = Runner.call_hook\n"
            "def call_hook(self, name, **kwargs):\n"
            "    if 'outputs' in kwargs and name == 'after_val_iter':\n"
            "        from mmengine.structures import BaseDataElement\n"
            "        more = BaseDataElement(loss=1)\n"
            "        kwargs['outputs'] = [*kwargs['outputs'], more]\n"
            "    return known(self, name, **kwargs)\n"
            "Runner.call_hook = call_hook",
            "loss elements reached hooks",
        ),
        (
            "process = Evaluator.process\n"
            "def twice(self, *args, **kwargs):\n"
            "    process(self, *args, **kwargs)\n"
            "    process(self, *args, **kwargs)\n"
            "Evaluator.process = twice",
            "predictions in the epochs, but 5 in each were expected",
        ),
    ],
    ids=["number", "checkpoint", "stopping", "hooks", "samples"],
)
def test_each_thing_that_is_compared(nursery, tmp_path, code, said):
    """A wrong number, a deaf hook, a loss element in a hook, samples twice."""
    told = examine(nursery, tmp_path, before=BEFORE + code + "\n")
    assert any(said in text for text in texts(told, "problem")), told["findings"]
