"""``doctor CONFIG`` with files: all formats, bases, imports, loops of their own."""

from __future__ import annotations

import gc
import json
import textwrap

import pytest
from mmengine.config import Config

from cli.doctor.runs import examine, texts
from cli.processes import as_command
from valloss_compat._cli.doctor import check_config, config_file
from valloss_compat.errors import CommandError

pytestmark = pytest.mark.slow

BASE = """
default_scope = 'mmengine'
model = dict(type='mine.Net')
train_cfg = dict(max_epochs=3)
val_dataloader = dict(dataset=dict(type='Data'))
val_evaluator = dict(type='Accuracy')
val_cfg = dict()
"""
CHILD = """
_base_ = ['base.py']
print('printed by a config')
custom_imports = dict(imports=['valloss_compat', 'their_loops'])
custom_hooks = [dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=0.0)]
val_cfg = dict(type='LoopOfTheirs')
"""
THEIRS = """
from mmengine.registry import LOOPS
from mmengine.runner import ValLoop
print('printed by an import')

@LOOPS.register_module()
class LoopOfTheirs(ValLoop):
    def run(self):
        {body}
"""
SOUND = "return super().run()"
BROKEN = """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        for idx, batch in enumerate(self.dataloader):
            self.runner.model.val_step(batch)
        self.runner.call_hook('after_val_epoch', metrics=dict())
        self.runner.call_hook('after_val')
"""
LAZY = """
from mmengine.config import read_base
with read_base():
    from .base import *
from mmengine.hooks import EarlyStoppingHook
from valloss_compat.hooks import ValLossHook
from package_that_is_not_there.models import Net
model = dict(type=Net, head=dict(type=Net))
custom_hooks = [
    dict(type=EarlyStoppingHook, monitor='val_loss', min_delta=0.0),
    dict(type=ValLossHook),
]
"""


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.mark.parametrize(("body", "severity"), [(SOUND, "ok"), (BROKEN, "problem")])
def test_a_config_with_a_base_and_a_loop(nursery, tmp_path, body, severity):
    """The loop is imported and tried out; what a config prints is not on stdout."""
    write(
        tmp_path, base__py=BASE, my__py=CHILD, their_loops__py=THEIRS.format(body=body)
    )
    told = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    assert told["config"] == str(tmp_path / "my.py")
    loop = [f for f in told["findings"] if f["check"] == "validation.LoopOfTheirs"]
    assert {finding["severity"] for finding in loop} == {severity}
    assert any("monitors 'val_loss'" in text for text in texts(told, "ok"))


def test_a_loop_and_an_import_that_are_not_there(nursery, tmp_path):
    """Said: the training would end there."""
    write(tmp_path, base__py=BASE, my__py=CHILD)
    told = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    (said,) = texts(told, "problem")
    assert "their_loops cannot be imported" in said
    assert not [f for f in told["findings"] if "Loop" in f["check"]]


ARGUMENTS = """
from mmengine.evaluator import Evaluator
from mmengine.registry import EVALUATOR, LOOPS
from mmengine.runner import ValLoop

@EVALUATOR.register_module()
class Judge(Evaluator):
    def __init__(self, metrics, level):
        super().__init__(metrics)
        assert level == 3
    def process(self, data_samples, data_batch=None):
        super().process(data_samples, data_batch)

@LOOPS.register_module()
class LoopOfTheirs(ValLoop):
    def __init__(self, runner, dataloader, evaluator, mark):
        super().__init__(runner, dataloader, evaluator)
        assert mark == 1
"""
WITH_ARGUMENTS = """
_base_ = ['base.py']
default_scope = 'nowhere'
custom_imports = dict(imports=['valloss_compat', 'theirs'])
val_evaluator = dict(type='Judge', metrics=[], level={level}, _scope_='mmengine')
val_cfg = dict(type='LoopOfTheirs', mark=1, _scope_='mmengine')
"""


@pytest.mark.parametrize(("level", "severity"), [(3, "ok"), (4, "note")])
def test_arguments_of_a_config(nursery, tmp_path, level, severity):
    """An evaluator and a loop are tried with theirs, found in the scope they name."""
    text = WITH_ARGUMENTS.format(level=level)
    write(tmp_path, base__py=BASE, my__py=text, theirs__py=ARGUMENTS)
    told = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    tried = {f["check"]: f["severity"] for f in told["findings"]}
    assert tried["validation.Judge"] == severity
    assert tried["validation.LoopOfTheirs"] == "ok"


REFUSING = """
from mmengine.registry import LOOPS
from mmengine.runner import ValLoop

@LOOPS.register_module()
class LoopOfTheirs(ValLoop):
    def __init__(self, *args, **kwargs):
        raise ValueError('not today')
"""


def test_a_loop_that_cannot_be_built(nursery, tmp_path):
    """Is not tried, and that is a note."""
    write(tmp_path, base__py=BASE, my__py=CHILD, their_loops__py=REFUSING)
    told = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    assert texts(told, "problem") == []
    (said,) = [t for t in texts(told, "note") if "LoopOfTheirs: a tiny" in t]
    assert "not tried: building it raised ValueError" in said


def test_a_loop_of_mmengine_is_not_tried_twice(nursery, tmp_path):
    """Nor is its evaluator."""
    plain = BASE.replace("val_cfg = dict()", "val_cfg = dict(type='ValLoop')")
    write(tmp_path, my__py=plain)
    told = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    tried = [f for f in told["findings"] if f["check"].startswith("validation")]
    assert len(tried) == 1


def test_problems_of_a_config_for_people(nursery, tmp_path):
    """Exit status 1, and a count at the end."""
    write(tmp_path, my__py=BASE.replace("val_cfg = dict()", ""))
    done = as_command(nursery, ["doctor", str(tmp_path / "my.py")], tmp_path)
    assert done.returncode == 1
    assert "[problem] config.validation: there is no val_cfg" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 problem found"


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_other_formats(tmp_path, suffix):
    """JSON is YAML too."""
    path = tmp_path / f"my{suffix}"
    path.write_text(json.dumps({"model": {"type": "Net"}}), encoding="utf-8")
    assert config_file.load(str(path)) == {"model": {"type": "Net"}}


def test_a_class_in_a_config(tmp_path):
    """Is named as well."""
    write(tmp_path, my__py="model = dict(type=dict, parts=[dict(type='Net')])")
    known = config_file.load(str(tmp_path / "my.py"))
    assert known["model"] == {"type": "builtins.dict", "parts": [{"type": "Net"}]}


@pytest.mark.skipif(
    not hasattr(Config, "_parse_lazy_import"),
    reason="configs that import what they name came with mmengine 0.8.0",
)
def test_a_config_that_imports_what_it_names(tmp_path):
    """The new style: classes are named, and need not be there."""
    write(tmp_path, base__py=BASE, my__py=LAZY)
    known = config_file.load(str(tmp_path / "my.py"))
    assert known["model"]["type"] == "package_that_is_not_there.models.Net"
    assert known["val_cfg"] == {}
    assert known["custom_hooks"][0]["type"] == "mmengine.hooks.EarlyStoppingHook"
    assert known["custom_hooks"][1]["type"] == "valloss_compat.hooks.ValLossHook"
    (said,) = [f for f in check_config.check_config(known, ()) if "imports" in f.check]
    assert said.severity == "ok"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.py", None, "there is no config file"),
        ("my.txt", "", "is no config: a name that ends in .py, .json"),
        ("my.py", "x = = 1", "cannot be read: "),
        ("my.py", "1 / 0", "cannot be read: ZeroDivisionError"),
        ("my.py", "raise SystemExit(3)", "cannot be read: SystemExit: 3"),
        ("my.py", "_base_ = ['none.py']", "cannot be read: "),
        ("my.json", "{", "cannot be read: "),
        ("my.json", "[1]", "it holds a list, but a config must be a mapping"),
        ("my.yaml", "", "it holds nothing, but a config must be a mapping"),
        ("my.yaml", "_base_: none.yaml", "cannot be read: "),
        ("no_package::none.py", None, "there is no package 'no_package' here"),
        ("::none.py", None, "there is no package '' here"),
        ("no_package::a::b.py", None, "there is no package 'no_package' here"),
        ("mmengine::none.py", None, "the package 'mmengine' is here, and has no file"),
        (
            "json::tool.py",
            None,
            "the package 'json' is here, and has no file 'tool.py'",
        ),
        ("csv::none.py", None, "'csv' is here, and has no file 'none.py'"),
        ("shipping::my.py", "x = = 1", "cannot be read: "),
    ],
)
@pytest.mark.filterwarnings(
    # Config.fromfile leaves its copy of a file open where that does not parse.
    "ignore:unclosed file:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_what_cannot_be_read(tmp_path, name, text, said, monkeypatch):
    """Named, with the cause."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    if text is not None and "::" in name:
        package, _, inner = name.partition("::")
        path = tmp_path / package / ".mim" / "configs" / inner
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    elif text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CommandError) as raised:
        config_file.load(name)
    assert said in str(raised.value)
    assert name in str(raised.value)
    del raised
    gc.collect()  # what was left open is closed while it is not an error


def test_exit_status_of_what_cannot_be_read(nursery, tmp_path):
    """2, and nothing on stdout, with --json too."""
    done = as_command(nursery, ["doctor", "--json", "none.py"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "doctor: error: there is no config file 'none.py'" in done.stderr
