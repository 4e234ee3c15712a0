"""An mmengine of tomorrow: mutated copies of the installed one, each really run.

A copy is what a release with that change would be, import and all; it is
imported, patched and validates in a process of its own.
"""

from __future__ import annotations

import os
import shutil

import mmengine
import pytest
from support.native import NATIVE

# mmengine's own modules go; torch stays, which they import and never change.
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
said = [str(known.message) for known in caught
        if issubclass(known.category, valloss_compat.VallossCompatWarning)]
import torch
from support.native import NATIVE
from support.tiny import element, make_runner, sample
status = valloss_compat.status()
def respond(index, inputs):
    return [sample(), element(loss=torch.tensor(index + 1.0))]
metrics = make_runner(tempfile.mkdtemp(), respond).val()
print(json.dumps([status.as_dict(), said, metrics]))
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
def test_dispatch_is_by_feature_whatever_the_version(future, version):
    """By feature: the number is only shown."""
    with (future.package / "version.py").open("a", encoding="utf-8") as file:
        file.write(f"\n__version__ = {version!r}\n")
    status, said, metrics = future().json()
    assert (status["mmengine"], said) == (version, [])
    assert status["plan"] == ("correct" if NATIVE else "add")
    assert metrics["val_loss"] == 1.5


LOOPS = "runner/loops.py"
EVALUATOR = "evaluator/evaluator.py"
HANDLES = "ValLoop has to do with a loss"
CHANGES = {
    "another name for run_iter": (
        [(LOOPS, "run_iter", "run_batch")],
        "there is no ValLoop.run_iter where it was",
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
        HANDLES,
    ),
    "another name in the log processor": (
        [("runner/log_processor.py", "def get_log_after_epoch(", "def epoch_log("),
         ("hooks/logger_hook.py", "get_log_after_epoch(", "epoch_log(")],
        "there is no LogProcessor.get_log_after_epoch where it was",
    ),
}  # fmt: skip
if NATIVE:
    CHANGES["one helper renamed"] = (
        [(LOOPS, "_update_losses", "_add_losses")],
        "there is _parse_losses without its twin",
    )
    CHANGES["losses kept elsewhere"] = (
        [(LOOPS, "self.val_loss", "self.losses")],
        "ValLoop.run_iter no longer calls val_loss",
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_an_unknown_newer_mmengine_stays_native_with_one_warning(future, change):
    """It validates as it does without us, and the status tells why of each target."""
    changes, reason = CHANGES[change]
    status, said, metrics = future(*changes).json()
    assert status["plan"] == "unknown"
    assert status["reason"].startswith(reason)
    (message,) = said
    assert message.startswith("nothing is patched, because mmengine ")
    assert message.endswith(status["reason"])
    assert metrics.get("val_loss") == (1.5 if NATIVE else None)
    assert status["patches"]
    for patch in status["patches"]:
        assert (patch["state"], patch["reason"]) == ("inactive", status["reason"])
        assert not patch["owner"].startswith("valloss_compat")


def test_loops_that_have_moved_are_an_unknown_shape(future):
    """Whole modules, too: the import of this package ends no training."""
    os.rename(str(future.package / LOOPS), str(future.package / "runner/loops_.py"))
    old, new = ".loops import", ".loops_ import"
    changes = [
        (path, old, new)
        for path in future.package.rglob("*.py")
        if old in path.read_text(encoding="utf-8")
    ]
    status, said, metrics = future(*changes).json()
    assert (status["plan"], len(said)) == ("unknown", 1)
    assert status["reason"] == "there is no BaseLoop where it was"
    assert metrics.get("val_loss") == (1.5 if NATIVE else None)


def test_strict_raises_where_the_shape_is_unknown(future):
    """The import fails, and says what differs and what to do."""
    changes, reason = CHANGES["another name for run_iter"]
    result = future(*changes, env={"VALLOSS_COMPAT": "strict=true"})
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("valloss_compat.errors.UnknownMMEngineError: mmengine ")
    assert reason in last
    assert last.endswith("leave strict out to go on unpatched.")
