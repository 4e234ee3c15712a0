"""The example of ``doctor`` in the README prints the output shown there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine import model, runner
from support.native import NATIVE

from cli.processes import as_command

pytestmark = pytest.mark.slow

#: Older releases lack some of the patched classes, so that there are fewer patches.
HAS_ALL = hasattr(runner, "FlexibleRunner") and hasattr(model, "BaseTTAModel")
README = Path(__file__).resolve().parents[3] / "README.md"
# The base config as the README describes it.
BASE = """
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', head=dict(type='LinearClsHead'))
custom_imports = dict(imports=['valloss_compat'], allow_failed_imports=False)
val_dataloader = dict(dataset=dict(type='CustomDataset', pipeline=[]))
val_evaluator = dict(type='Accuracy')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=100)
"""


def findings(text):
    """Return each finding as one line. Native mmengine has other patches."""
    if not HAS_ALL:
        text = re.sub(r"\b\d+ patches", "N patches", text)
    parts = re.split(r"\n(?=\[)|\n\n", text)
    lines = [" ".join(part.split()) for part in parts if part.startswith("[")]
    return [line for line in lines if not NATIVE or "] patches: " not in line]


def head(text):
    """Return the lines before the findings, without versions and folders."""
    *environment, options = text.partition("\n\n")[0].splitlines()
    return [re.sub(r" .*, .*", "", line) for line in environment], options


def test_readme_example_prints_what_readme_shows(nursery, tmp_path):
    """The same findings in the same order, and the same verdict."""
    section = README.read_text(encoding="utf-8").split("## Doctor\n")[1]
    config = re.search(r"```python\n(.*?)```", section, re.S).group(1)
    shown = re.search(r"```console\n\$ python -m (.*?)\n(.*?)```", section, re.S)
    words = shown.group(1).split()
    assert words == ["valloss_compat", "doctor", "my_config.py"]
    (tmp_path / "my_config.py").write_text(config, encoding="utf-8")
    (tmp_path / "base.py").write_text(BASE, encoding="utf-8")
    argv = ["doctor", str(tmp_path / "my_config.py")]
    done = as_command(nursery, argv, tmp_path)
    assert done.returncode == 1
    assert head(done.stdout) == head(shown.group(2))
    assert findings(done.stdout) == findings(shown.group(2))
    assert done.stdout.splitlines()[-1] == "2 problems found"
