"""``doctor CONFIG`` with files: formats, bases, imports, user loops."""

from __future__ import annotations

import gc
import json
import textwrap

import pytest
from mmengine.config import Config

from cli.doctor.runs import examine, texts
from cli.processes import as_command, python
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
custom_imports = dict(imports=['valloss_compat', 'user_loops'])
custom_hooks = [dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=0.0)]
val_cfg = dict(type='UserLoop')
"""
USER_LOOP = """
from mmengine.registry import LOOPS
from mmengine.runner import ValLoop
print('printed by an import')

@LOOPS.register_module()
class UserLoop(ValLoop):
    def run(self):
        {body}
"""
WORKING = "return super().run()"
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


@pytest.mark.parametrize(("body", "severity"), [(WORKING, "ok"), (BROKEN, "problem")])
def test_loop_of_config_is_tried(nursery, tmp_path, body, severity):
    """And imported. Output of the config does not reach stdout."""
    write(
        tmp_path,
        base__py=BASE,
        my__py=CHILD,
        user_loops__py=USER_LOOP.format(body=body),
    )
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    assert document["config"] == str(tmp_path / "my.py")
    loop = [f for f in document["findings"] if f["check"] == "validation.UserLoop"]
    assert {finding["severity"] for finding in loop} == {severity}
    assert any("monitors 'val_loss'" in text for text in texts(document, "ok"))


def test_failed_import_is_a_problem(nursery, tmp_path):
    """The training would end there, so its loop is not tried."""
    write(tmp_path, base__py=BASE, my__py=CHILD)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    (message,) = texts(document, "problem")
    assert "user_loops cannot be imported" in message
    assert not [f for f in document["findings"] if "Loop" in f["check"]]


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
class UserLoop(ValLoop):
    def __init__(self, runner, dataloader, evaluator, mark):
        super().__init__(runner, dataloader, evaluator)
        assert mark == 1
"""
WITH_ARGUMENTS = """
_base_ = ['base.py']
default_scope = 'nowhere'
custom_imports = dict(imports=['valloss_compat', 'user_classes'])
val_evaluator = dict(type='Judge', metrics=[], level={level}, _scope_='mmengine')
val_cfg = dict(type='UserLoop', mark=1, _scope_='mmengine')
"""


@pytest.mark.parametrize(("level", "severity"), [(3, "ok"), (4, "not checked")])
def test_classes_are_tried_with_arguments_of_config(nursery, tmp_path, level, severity):
    """Evaluator and loop, looked up in the scope of their entries."""
    text = WITH_ARGUMENTS.format(level=level)
    write(tmp_path, base__py=BASE, my__py=text, user_classes__py=ARGUMENTS)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    severities = {f["check"]: f["severity"] for f in document["findings"]}
    assert severities["validation.Judge"] == severity
    assert severities["validation.UserLoop"] == "ok"


RAISING_LOOP = """
from mmengine.registry import LOOPS
from mmengine.runner import ValLoop

@LOOPS.register_module()
class UserLoop(ValLoop):
    def __init__(self, *args, **kwargs):
        raise ValueError('not today')
"""


def test_loop_that_cannot_be_built_is_not_checked(nursery, tmp_path):
    write(tmp_path, base__py=BASE, my__py=CHILD, user_loops__py=RAISING_LOOP)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    assert texts(document, "problem") == []
    (message,) = [t for t in texts(document, "not checked") if "UserLoop: no tiny" in t]
    assert "building it raised ValueError" in message


def test_loop_of_mmengine_is_tried_once(nursery, tmp_path):
    """And its evaluator, too."""
    plain = BASE.replace("val_cfg = dict()", "val_cfg = dict(type='ValLoop')")
    write(tmp_path, my__py=plain)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    trials = [f for f in document["findings"] if f["check"].startswith("validation")]
    assert len(trials) == 1


def test_text_report_counts_problems(nursery, tmp_path):
    """In its last line. The exit status is 1."""
    write(tmp_path, my__py=BASE.replace("val_cfg = dict()", ""))
    done = as_command(nursery, ["doctor", str(tmp_path / "my.py")], tmp_path)
    assert done.returncode == 1
    assert "[problem] config.validation: val_dataloader and val_eval" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 problem found; 1 point not checked"


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_json_and_yaml_are_loaded(tmp_path, suffix):
    """The same text, as JSON is YAML."""
    path = tmp_path / f"my{suffix}"
    path.write_text(json.dumps({"model": {"type": "Net"}}), encoding="utf-8")
    assert config_file.load(str(path)) == {"model": {"type": "Net"}}


def test_class_in_config_becomes_its_name(tmp_path):
    write(tmp_path, my__py="model = dict(type=dict, parts=[dict(type='Net')])")
    config = config_file.load(str(tmp_path / "my.py"))
    assert config["model"] == {"type": "builtins.dict", "parts": [{"type": "Net"}]}


@pytest.mark.skipif(
    not hasattr(Config, "_parse_lazy_import"),
    reason="configs that import what they name came with mmengine 0.8.0",
)
def test_new_style_config_needs_no_imports(tmp_path):
    """Its classes become names, also those that cannot be imported."""
    write(tmp_path, base__py=BASE, my__py=LAZY)
    config = config_file.load(str(tmp_path / "my.py"))
    assert config["model"]["type"] == "package_that_is_not_there.models.Net"
    assert config["val_cfg"] == {}
    assert config["custom_hooks"][0]["type"] == "mmengine.hooks.EarlyStoppingHook"
    assert config["custom_hooks"][1]["type"] == "valloss_compat.hooks.ValLossHook"
    (finding,) = [
        f for f in check_config.check_config(config, ()) if "imports" in f.check
    ]
    assert finding.severity == "ok"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.py", None, "there is no config file"),
        ("my.txt", "", "is no config: a name that ends in .py, .json"),
        ("my.py", "x = = 1", "cannot be read: "),
        ("my.py", "1 / 0", "cannot be read: ZeroDivisionError"),
        ("my.py", "raise SystemExit(3)", "cannot be read: SystemExit: 3"),
        ("my.py", "_base_ = ['none.py']", "cannot be read: "),
        ("my.json", "{", "cannot be read: "),
        ("my.json", "[1]", "it holds a list, but a mapping is expected"),
        ("my.yaml", "", "it holds nothing, but a mapping is expected"),
        ("my.yaml", "_base_: none.yaml", "cannot be read: "),
        ("no_package::none.py", None, "there is no package 'no_package' here"),
        ("::none.py", None, "there is no package '' here"),
        ("no_package::a::b.py", None, "there is no package 'no_package' here"),
        ("mmengine::none.py", None, "the package 'mmengine' has no file"),
        (
            "json::tool.py",
            None,
            "the package 'json' has no file 'tool.py'",
        ),
        ("csv::none.py", None, "the package 'csv' has no file 'none.py'"),
        ("shipping::my.py", "x = = 1", "cannot be read: "),
    ],
)
@pytest.mark.filterwarnings(
    # Config.fromfile leaves its copy of a file with a syntax error open.
    "ignore:unclosed file:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_unreadable_config_raises_command_error(
    tmp_path, name, text, message, monkeypatch
):
    """With the name of the file and the cause."""
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
    assert message in str(raised.value)
    assert name in str(raised.value)
    del raised
    gc.collect()  # closes files left open while ResourceWarning is ignored


def test_unreadable_config_exits_with_2(nursery, tmp_path):
    """With an empty stdout, or with ``--json`` one document."""
    done = as_command(nursery, ["doctor", "none.py"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    done = as_command(nursery, ["doctor", "--json", "none.py"], tmp_path)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert (document["exit_code"], document["config"]) == (2, "none.py")
    assert f"doctor: error: {document['error']}" in done.stderr
    assert document["error"].startswith("there is no config file 'none.py'")


def test_json_document_is_alone_on_stdout(nursery, tmp_path):
    """What exit handlers print and wrong arguments give nothing else there."""
    text = "__import__('atexit').register(print, 'goodbye')\nmodel = dict(type='M')\n"
    write(tmp_path, my__py=text)
    path = str(tmp_path / "my.py")
    done = python(["-m", "valloss_compat", "doctor", "--json", path], tmp_path)
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 0
    assert "goodbye" in done.stderr
    done = as_command(nursery, ["doctor", "--json", path, "another"], tmp_path)
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 2
    assert "unrecognized arguments: another" in done.stderr
