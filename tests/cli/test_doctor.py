"""``doctor``: what it says of this environment, and what it detects."""

from __future__ import annotations

import json
import sys
from importlib import util

import mmengine
import pytest
import torch
from mmengine.runner import loops

from cli.processes import as_command, python
from valloss_compat import __version__
from valloss_compat.cli import doctor
from valloss_compat.cli.checks.findings import Finding

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


def examine(nursery, folder, *argv, env=None, before=""):
    """Run ``doctor --json``; its exit code and document."""
    done = as_command(nursery, ["doctor", "--json", *argv], folder, env, before)
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return told


def texts(told, severity):
    """What was found, as ``check: text``."""
    found = told["findings"]
    return [f"{f['check']}: {f['text']}" for f in found if f["severity"] == severity]


def test_doctor_has_json_and_an_exit_code_where_all_is_well(nursery, tmp_path):
    """Exit status 0, one document on stdout, and no file is left behind."""
    told = examine(nursery, tmp_path, env={"TMPDIR": str(tmp_path)})
    assert texts(told, "problem") == []
    assert list(told) == [
        "schema",
        "environment",
        "status",
        "config",
        "findings",
        "exit_code",
    ]
    environment = told["environment"]
    assert environment["mmengine"]["version"] == mmengine.__version__
    assert environment["torch"]["version"] == torch.__version__
    assert environment["valloss_compat"]["version"] == __version__
    assert environment["python"]["where"] == sys.executable
    assert any("val_loss = 2.5 and 3.5" in text for text in texts(told, "ok"))
    applied = len(told["status"]["patches"])
    assert any(
        text.startswith(f"patches: {applied} patches are applied: ")
        for text in texts(told, "ok")
    )
    assert list(tmp_path.iterdir()) == []


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
def test_in_a_cold_process_for_people(tmp_path):
    """As a user runs it: versions, findings, a verdict; stderr is quiet."""
    done = python(
        ["-W", "ignore", "-m", "valloss_compat", "doctor"],
        tmp_path,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2].startswith(f"mmengine {mmengine.__version__}")
    assert any(line.startswith("[ok] validation: ") for line in lines)
    assert lines[-1] == "no problems found"
    assert "git" not in done.stderr


def test_the_lines_for_people_keep_each_word_whole(monkeypatch):
    """A name with hyphens can be copied from a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    words = ["onedl-mmengine"] * 20
    status = {"options": {"mode": "default"}}
    found = [Finding("note", "patches", " ".join(words))]
    told = {"environment": {}, "status": status, "findings": found}
    lines = doctor._report(told).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split()[4:-3] == words


def test_off_is_a_problem(nursery, tmp_path):
    """Our patch switched off: named, with the variable that does it."""
    told = examine(nursery, tmp_path, env={"VALLOSS_COMPAT": "off"})
    first = texts(told, "problem")[0]
    assert first.startswith("patches: nothing is patched: VALLOSS_COMPAT=off")
    assert len(texts(told, "problem")) == 1
    assert "validation: not tried, as nothing is patched" in texts(told, "note")


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted(REPLACED))
def test_a_self_check_sees_a_patch_that_was_replaced(nursery, tmp_path, place):
    """Somebody put a method of their own in the place of ours."""
    target = place.partition(",")[0]
    told = examine(nursery, tmp_path, before=BEFORE + REPLACED[place])
    problems = texts(told, "problem")
    assert any(text.startswith("patches: ") and target in text for text in problems)
    seen = [text for text in problems if text.startswith("validation: ")]
    wanted = WANTED[place]
    assert len(seen) == bool(wanted)
    assert all(text in seen[0] for text in wanted)
    if not wanted:
        assert any("val_loss = 2.5 and 3.5" in text for text in texts(told, "ok"))


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
    (escaping,) = [text for text in texts(told, "note") if "not patched," in text]
    assert "Logs.get_log_after_epoch" in escaping
    overriding = [text for text in texts(told, "note") if "override" in text]
    assert len(overriding) == 1
    assert "Sound.evaluate" in overriding[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "valloss_compat.recorder.with_total = lambda sums, stage: {}\n"
            "import valloss_compat.epoch\n"
            "valloss_compat.epoch.with_total = lambda sums, stage: "
            "{'val_loss': 4.0}",
            "val_loss is 4 after epoch 1, but 2.5 was expected",
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


def test_an_mmengine_of_unknown_shape(nursery, tmp_path):
    """Nothing is patched, and it says so."""
    mutate = """
from mmengine.runner import loops
if hasattr(loops, '_parse_losses'):
    del loops._parse_losses
else:
    loops._update_losses = lambda outputs, losses: (outputs, losses)
"""
    told = examine(nursery, tmp_path, before=mutate)
    assert told["status"]["plan"] == "unknown"
    problems = texts(told, "problem")
    assert any("not as valloss_compat knows" in text for text in problems)


MISSING = """
import runpy, sys
sys.modules['mmengine'] = None
sys.argv[:] = ['-m', 'doctor']
runpy._run_module_as_main('valloss_compat')
"""


@pytest.mark.parametrize("variable", ["default", "off"])
def test_without_mmengine(tmp_path, variable):
    """In words, with the remedy, and exit status 2."""
    done = python(["-c", MISSING], tmp_path, env={"VALLOSS_COMPAT": variable})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m valloss_compat doctor: error: valloss_com")
    assert "pip install 'mmengine==" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_another_mmengine(tmp_path):
    """A package of that name that is not OpenMMLab's."""
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine" / "__init__.py").write_text("", encoding="utf-8")
    done = python(["-m", "valloss_compat", "doctor"], tmp_path)
    assert done.returncode == 2
    assert "not OpenMMLab's" in done.stderr


def test_with_nonsense_in_the_environment(nursery, tmp_path):
    """The variable, its value and what is expected; exit status 2."""
    env = {"VALLOSS_COMPAT": "nonsense"}
    done = as_command(nursery, ["doctor"], tmp_path, env=env)
    assert done.returncode == 2
    assert "VALLOSS_COMPAT is 'nonsense'" in done.stderr


def test_main_is_safe_to_import():
    """As tools that walk a package do."""
    import valloss_compat.__main__ as main

    assert main.__name__ == "valloss_compat.__main__"


def test_help_needs_no_mmengine(tmp_path):
    """Nor does it import torch."""
    shown = "import runpy, sys\nsys.argv[:] = ['-m', '--help']\n"
    shown += "try: runpy._run_module_as_main('valloss_compat')\n"
    shown += "finally: print({'torch', 'mmengine'} & set(sys.modules))"
    done = python(["-c", shown], tmp_path)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "doctor" in done.stdout


def test_an_import_in_a_script_still_raises(tmp_path):
    """Only the command line is forgiving: not even python -m of another package."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text(
        "import sys\nsys.modules['mmengine'] = None\nimport valloss_compat"
    )
    (tmp_path / "theirs" / "train.py").write_text("print('ran')")
    done = python(["-m", "theirs.train"], tmp_path)
    assert "UnusableMMEngineError" in done.stderr
    assert done.stdout == ""
    assert util.find_spec("valloss_compat.importer") is not None
