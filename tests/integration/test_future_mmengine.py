"""Possible future releases of mmengine: changed copies of the installed one.

Each copy is imported, patched and used for a validation in a process of its own.
"""

from __future__ import annotations

import os
import shutil

import mmengine
import pytest
from support.native import NATIVE

# mmengine's modules are removed. torch stays: they import it and do not change it.
SCRIPT = """
import json, sys, tempfile, warnings
for name in [name for name in sys.modules if name.split('.')[0] == 'mmengine']:
    del sys.modules[name]
sys.path.insert(0, {site!r})
import mmengine
assert mmengine.__file__.startswith({site!r}), mmengine.__file__
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    import valloss_compat
    valloss_compat.apply()
messages = [str(known.message) for known in caught
            if issubclass(known.category, valloss_compat.VallossCompatWarning)]
import torch
from support.native import NATIVE
from support.tiny import element, make_runner, sample
status = valloss_compat.status()
def respond(index, inputs):
    return [sample(), element(loss=torch.tensor(index + 1.0))]
metrics = make_runner(tempfile.mkdtemp(), respond).val()
print(json.dumps([status.as_dict(), messages, metrics]))
"""


@pytest.fixture
def future(tmp_path, nursery):
    """Run a copy of mmengine in which text was replaced, file by file."""
    source = os.path.dirname(mmengine.__file__)
    package = tmp_path / "mmengine"
    shutil.copytree(source, str(package))

    def run(*changes, env=None):
        for file, old, new in changes:
            path = package / file
            text = path.read_text(encoding="utf-8")
            assert old in text, f"{old!r} is not in {file}"
            path.write_text(text.replace(old, new), encoding="utf-8")
        return nursery.run(SCRIPT.format(site=str(tmp_path)), env=env)

    run.package = package
    return run


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.11.0rc0", "0.10.4+cu118", "1.0.0.dev0"])
def test_plan_depends_on_features_not_on_the_version(future, version):
    """The version is only shown."""
    with (future.package / "version.py").open("a", encoding="utf-8") as file:
        file.write(f"\n__version__ = {version!r}\n")
    status, messages, metrics = future().json()
    assert (status["mmengine"], messages) == (version, [])
    assert status["plan"] == ("correct" if NATIVE else "add")
    assert metrics["val_loss"] == 1.5


LOOPS = "runner/loops.py"
EVALUATOR = "evaluator/evaluator.py"
HAS_LOSSES = "ValLoop handles a loss"
CHANGES = {
    "another name for run_iter": (
        [(LOOPS, "run_iter", "run_batch")],
        "there is no ValLoop.run_iter",
    ),
    "another way to val_step": (
        [(LOOPS, "model.val_step(", "model.__getattribute__('val_step')(")],
        "ValLoop.run_iter no longer calls val_step",
    ),
    "no Evaluator.process": (
        [(LOOPS, ".process(", ".add("), (EVALUATOR, "def process(", "def add(")],
        "ValLoop.run_iter no longer calls process",
    ),
    "another name for its argument": (
        [
            (LOOPS, "data_samples=outputs", "outputs=outputs"),
            (EVALUATOR, "data_samples", "outputs"),
        ],
        "Evaluator.process takes ('outputs', 'data_batch'), no data_samples",
    ),
    "losses of its own": (
        [
            (
                LOOPS,
                "self.fp16 = fp16",
                "self.fp16 = fp16\n        self.mean_losses = {}",
            ),
            *([(LOOPS, "_update_losses", "_add"), (LOOPS, "_parse_losses", "_means")]
              if NATIVE else []),
        ],
        HAS_LOSSES,
    ),
    "another name in the log processor": (
        [("runner/log_processor.py", "def get_log_after_epoch(", "def epoch_log("),
         ("hooks/logger_hook.py", "get_log_after_epoch(", "epoch_log(")],
        "there is no LogProcessor.get_log_after_epoch",
    ),
}  # fmt: skip
if NATIVE:
    CHANGES["one helper renamed"] = (
        [(LOOPS, "_update_losses", "_add_losses")],
        "only one of the helpers is there, _parse_losses",
    )
    CHANGES["losses kept elsewhere"] = (
        [(LOOPS, "self.val_loss", "self.losses")],
        "ValLoop.run_iter no longer calls val_loss",
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_unknown_mmengine_is_not_patched_and_warns_once(future, change):
    """It validates as without this package; each target is listed with the reason."""
    changes, reason = CHANGES[change]
    status, messages, metrics = future(*changes).json()
    assert status["plan"] == "unknown"
    assert status["reason"].startswith(reason)
    (message,) = messages
    assert message.startswith("nothing is patched, because mmengine ")
    assert message.endswith(status["reason"])
    assert metrics.get("val_loss") == (1.5 if NATIVE else None)
    assert status["patches"]
    for patch in status["patches"]:
        assert (patch["state"], patch["reason"]) == ("inactive", status["reason"])
        assert not patch["owner"].startswith("valloss_compat")


def test_moved_loops_module_makes_mmengine_unknown(future):
    """The import of this package does not end a training."""
    os.rename(str(future.package / LOOPS), str(future.package / "runner/loops_.py"))
    old, new = ".loops import", ".loops_ import"
    changes = [
        (path, old, new)
        for path in future.package.rglob("*.py")
        if old in path.read_text(encoding="utf-8")
    ]
    status, messages, metrics = future(*changes).json()
    assert (status["plan"], len(messages)) == ("unknown", 1)
    assert status["reason"] == "there is no BaseLoop"
    assert metrics.get("val_loss") == (1.5 if NATIVE else None)


def test_strict_raises_for_an_unknown_mmengine(future):
    """The error of the import names the difference and a fix."""
    changes, reason = CHANGES["another name for run_iter"]
    result = future(*changes, env={"VALLOSS_COMPAT": "strict=true"})
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("valloss_compat.errors.UnknownMMEngineError: mmengine ")
    assert reason in last
    assert last.endswith("leave strict out to train unpatched")
