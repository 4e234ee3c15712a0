"""``doctor`` prints what docs/commands.md shows.

``VALLOSS_COMPAT_WRITE_DOCS=1 pytest documents/test_doctor_output.py`` rewrites the page
(on mmengine 0.10.4, as the page has it).
"""

from __future__ import annotations

import os
import re

import pytest
from cli.processes import as_command
from mmengine import model, runner
from support.blocks import block_of
from support.native import NATIVE

pytestmark = pytest.mark.slow

#: Older releases lack some of the patched classes, so that there are fewer patches.
HAS_ALL = hasattr(runner, "FlexibleRunner") and hasattr(model, "BaseTTAModel")
# The base config as the page describes it.
BASE = """
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', head=dict(type='LinearClsHead'))
custom_imports = dict(
    imports=['valloss_compat', 'mmpretrain.models'], allow_failed_imports=False)
val_dataloader = dict(dataset=dict(type='CustomDataset', pipeline=[]))
val_evaluator = dict(type='Accuracy')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=100)
"""
# What the config needs of an installed mmpretrain.
MODELS = """
from mmengine.registry import MODELS as PARENT, Registry

MODELS = Registry('model', parent=PARENT, scope='mmpretrain')


@MODELS.register_module()
class ImageClassifier:
    pass
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


def test_doctor_output_is_what_the_page_shows(block, nursery, tmp_path):
    """The same findings in the same order, and the same verdict."""
    command, _, shown = block.text.partition("\n")
    assert command == "$ python -m valloss_compat doctor my_config.py"
    done = doctor(nursery, tmp_path, block_of("test_doctor_config").text)
    if os.environ.get("VALLOSS_COMPAT_WRITE_DOCS"):
        new = shown.partition("\n\n")[0] + "\n\n" + done.stdout.partition("\n\n")[2]
        page = block.page.read_text(encoding="utf-8")
        block.page.write_text(page.replace(shown, new), encoding="utf-8")
        shown = new
    assert head(done.stdout) == head(shown)
    assert findings(done.stdout) == findings(shown)
    assert done.stdout.splitlines()[-1] == shown.splitlines()[-1]


def test_doctor_config_has_problems(block, nursery, tmp_path):
    assert doctor(nursery, tmp_path, block.text).returncode == 1


def doctor(nursery, folder, config):
    """Run ``doctor`` on a config on top of a stub of mmpretrain."""
    (folder / "my_config.py").write_text(config, encoding="utf-8")
    (folder / "base.py").write_text(BASE, encoding="utf-8")
    (folder / "mmpretrain").mkdir()
    for name, source in (("__init__", ""), ("models", MODELS)):
        (folder / "mmpretrain" / f"{name}.py").write_text(source, encoding="utf-8")
    return as_command(nursery, ["doctor", str(folder / "my_config.py")], folder)
