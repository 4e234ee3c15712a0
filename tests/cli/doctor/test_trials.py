"""``doctor`` runs trial trainings: their numbers show changes of mmengine."""

from __future__ import annotations

import pytest
from support.native import NATIVE

from cli.doctor.runs import examine, texts

# Code that replaces a patched method after the import, and its target.
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
# Problems that the trial training finds. None if the other patches or the helpers of
# native mmengine still give the right number.
NO_LOSS = "there is no val_loss after epoch 1, but 2.5 was expected"
EXPECTED = {
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


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("parity", "2.5 and 3.5"),
        pytest.param("weighting=sample", "2.2 and 3.2", marks=pytest.mark.slow),
    ],
)
def test_self_check_expects_loss_of_active_options(nursery, tmp_path, variable, values):
    document = examine(nursery, tmp_path, env={"VALLOSS_COMPAT": variable})
    assert texts(document, "problem") == []
    assert any(f"val_loss = {values}" in text for text in texts(document, "ok"))
    nothing = f"patches: nothing to patch: {document['status']['reason']}"
    assert (nothing in texts(document, "ok")) == (variable == "parity" and NATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(REPLACED))
def test_self_check_finds_replaced_patch(nursery, tmp_path, case):
    """The status shows it, and the trial training its consequence."""
    target = case.partition(",")[0]
    document = examine(nursery, tmp_path, before=BEFORE + REPLACED[case])
    problems = texts(document, "problem")
    patched = target != "ValLoop.run_iter"
    reported = [t for t in problems if t.startswith("patches: ") and target in t]
    assert len(reported) == patched
    states = [patch["state"] for patch in document["status"]["patches"]]
    assert states.count("active") == len(states) - patched
    count = f"patches: {len(states) - patched} patches are active: "
    assert any(text.startswith(count) for text in texts(document, "ok"))
    validation_problems = [text for text in problems if text.startswith("validation: ")]
    expected = EXPECTED[case]
    assert len(validation_problems) == bool(expected)
    assert all(text in validation_problems[0] for text in expected)
    if not expected:
        assert any("val_loss = 2.5 and 3.5" in text for text in texts(document, "ok"))


@pytest.mark.slow
@pytest.mark.skipif(NATIVE, reason="in mode 'parity' nothing is patched there")
def test_self_check_finds_replaced_patch_in_parity_mode(nursery, tmp_path):
    """The check does not apply the patches again first."""
    env = {"VALLOSS_COMPAT": "parity"}
    before = BEFORE + REPLACED["Evaluator.process"]
    document = examine(nursery, tmp_path, env=env, before=before)
    problems = [t for t in texts(document, "problem") if t.startswith("patches: ")]
    assert "Evaluator.process is replaced" in problems[0]


@pytest.mark.slow
def test_wrapper_around_patch_is_no_problem(nursery, tmp_path):
    """As it calls the wrapped method."""
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

class Plain(Evaluator):
    pass

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
def test_loaded_evaluators_are_tried(nursery, tmp_path):
    """A broken one is reported. One that cannot be built is skipped."""
    document = examine(nursery, tmp_path, before=BEFORE + EVALUATORS)
    by_check = {}
    for finding in document["findings"]:
        by_check.setdefault(finding["check"], []).append(finding)
    assert by_check["validation.Sound"][0]["severity"] == "ok"
    assert by_check["validation.Broken"][0]["severity"] == "problem"
    if not NATIVE:  # native helpers remove the element before `process`
        hidden = [finding["text"] for finding in by_check["validation.Hidden"]]
        assert any("loss elements reached the metric" in text for text in hidden)
        assert any("there is no val_loss" in text for text in hidden)
    assert "validation.Plain" not in by_check  # it overrides nothing
    # Like mmdet's MultiDatasetsEvaluator: not in a config, so it is skipped silently.
    assert not {"validation.Refusing", "validation.Choosy"} & set(by_check)
    (unpatched_overrides,) = [
        text for text in texts(document, "note") if "are not patched: " in text
    ]
    assert "Logs.get_log_after_epoch" in unpatched_overrides
    overrides = [text for text in texts(document, "note") if "patched as well" in text]
    assert len(overrides) == 1
    assert "Sound.evaluate" in overrides[0]
    assert "Logs." not in overrides[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "import valloss_compat._recording.epoch\n"
            "valloss_compat._recording.epoch.means_with_total = lambda sums, stage: "
            "{**dict.fromkeys(sums, 0.0), 'val_loss': 4.0}",
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
            "        kwargs['outputs'] = [more, *kwargs['outputs']]\n"
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
def test_each_difference_is_reported(nursery, tmp_path, code, expected):
    """A wrong number, inactive hooks, extra loss elements, samples counted twice."""
    document = examine(nursery, tmp_path, before=BEFORE + code + "\n")
    problems = texts(document, "problem")
    assert any(expected in text for text in problems), document["findings"]
