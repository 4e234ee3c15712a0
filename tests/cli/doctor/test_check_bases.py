"""``doctor CONFIG``: a config that drops hooks or imports of its bases."""

from __future__ import annotations

import textwrap

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from cli.doctor.runs import examine, texts
from valloss_compat._cli.doctor import check_bases, config_file
from valloss_compat.errors import CommandError

BASE = """
custom_imports = dict(imports=['json.tool'], allow_failed_imports=False)
custom_hooks = [
    dict(type='EMAHook', momentum=0.1),
    dict(type='mmdet.PipelineSwitchHook', switch_epoch=280),
]
"""
STOPPING = "dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=1e-4)"
LOSS = "dict(type='ValLossHook')"
IMPORTS = "custom_imports = dict(imports=['json.tool', 'valloss_compat'])"


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def load(folder, name="my.py", **files):
    """Return the findings on files, as ``severity: text``."""
    write(folder, **files)
    with check_bases.record_files() as recorded:
        config_file.load(name if "::" in name else str(folder / name))
    findings = list(check_bases.check_bases(recorded))
    assert {f.check for f in findings} <= {"config.bases"}
    return [f"{f.severity}: {f.text}".replace(f"{folder}/", "") for f in findings]


@pytest.mark.slow
def test_dropped_hooks_and_imports_are_problems(nursery, tmp_path):
    """The command names them, and the fix."""
    child = f"""
        _base_ = ['./base.py']
        custom_imports = dict(imports=['valloss_compat'])
        custom_hooks = [{STOPPING}, {LOSS}]
    """
    write(tmp_path, base__py=BASE, my__py=child)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    hooks, imports = (t for t in texts(document, "problem") if "config.bases" in t)
    assert hooks == (
        f"config.bases: custom_hooks in {tmp_path / 'my.py'} replaces the list of its "
        "base, so that the training loses EMAHook, PipelineSwitchHook. Fix: "
        "default_hooks=dict(val_loss=dict(type='ValLossHook', ...), "
        "early_stopping=dict(type='EarlyStoppingHook', ...)), which is merged "
        "with the base, or repeat the hooks of the base in "
        "custom_hooks=[*_base_.custom_hooks, ...]"
    )
    assert imports == (
        f"config.bases: custom_imports in {tmp_path / 'my.py'} replaces the imports of "
        "its base, so that json.tool would not be imported. Fix: "
        "imports=['json.tool', 'valloss_compat'], or leave custom_imports out and "
        "start the train script with `python -m valloss_compat run`"
    )


@pytest.mark.slow
def test_advice_of_the_problems_solves_them(nursery, tmp_path):
    """Default hooks of the child are merged, and all imports are repeated."""
    child = f"""
        _base_ = './base.py'
        {IMPORTS}
        default_hooks = dict(val_loss={LOSS}, early_stopping={STOPPING})
    """
    write(tmp_path, base__py=BASE, my__py=child)
    document = examine(nursery, tmp_path, str(tmp_path / "my.py"))
    assert not [f for f in document["findings"] if f["check"] == "config.bases"]
    assert any("EarlyStoppingHook monitors" in t for t in texts(document, "ok"))


KEPT = {
    "nothing": "",
    "hooks repeated": f"custom_hooks = [*_base_.custom_hooks, {STOPPING}]",
    "hooks with other arguments": f"""
custom_hooks = [
    dict(type='mmengine.EMAHook'), {STOPPING}, dict(type='PipelineSwitchHook')]""",
    "hooks moved to default_hooks": f"""
custom_hooks = [{STOPPING}]
default_hooks = dict(
    ema=dict(type='EMAHook'), switch=dict(type='PipelineSwitchHook'))""",
    "imports repeated": IMPORTS,
    "a submodule imported": IMPORTS.replace("json.tool", "json.tool.x"),
}


@pytest.mark.parametrize("child", list(KEPT.values()), ids=list(KEPT))
def test_config_that_keeps_the_entries_of_its_base_is_fine(tmp_path, child):
    assert load(tmp_path, base__py=BASE, my__py=f"_base_ = 'base.py'\n{child}") == []


def test_entries_of_a_wrong_type_are_left_to_the_check_of_types(tmp_path):
    base = "custom_hooks = 5\ndefault_hooks = [1]\ncustom_imports = 5"
    child = f"_base_ = 'base.py'\ncustom_hooks = [{STOPPING}]\n"
    assert load(tmp_path, base__py=base, my__py=child) == []


DROPPED = {
    "custom_hooks = None": "custom_hooks",
    "custom_hooks = []": "custom_hooks",
    "custom_hooks = [dict(type='SyncBuffersHook')]": "custom_hooks",
    "custom_imports = None": "custom_imports",
    "custom_imports = dict(imports=['json'])": "custom_imports",
}


@pytest.mark.parametrize(("child", "entry"), list(DROPPED.items()))
def test_list_without_hooks_of_the_package_is_a_note(tmp_path, child, entry):
    """It may leave entries out on purpose. Lists in its bases are not reported."""
    child = f"_base_ = 'base.py'\n{child}"
    (text,) = load(tmp_path, base__py=BASE, my__py=child)
    assert text.startswith(f"note: {entry} in my.py replaces the ")
    assert ". If that is not intended: " in text
    assert load(tmp_path, name="grandchild.py", grandchild__py="_base_ = 'my.py'") == []


def test_dropped_imports_of_a_base_are_a_problem_of_all_its_children(tmp_path):
    """Unless they import the module themselves. The package is imported either way."""
    parent = "_base_ = 'base.py'\ncustom_imports = dict(imports='valloss_compat.hooks')"
    child = "_base_ = 'parent.py'"
    (text,) = load(tmp_path, base__py=BASE, parent__py=parent, my__py=child)
    assert text.startswith("problem: custom_imports in parent.py replaces the imports")
    assert "Fix: imports=['json.tool', 'valloss_compat.hooks'], or leave" in text
    assert load(tmp_path, my__py=f"{child}\n{IMPORTS}") == []


def test_each_file_is_held_against_its_own_bases(tmp_path):
    """A hook that comes back later is not lost, nor one that a parent has."""
    files = {
        "base__py": "custom_hooks = [dict(type='EMAHook'), dict(type='NPUHook')]",
        "parent__py": f"_base_ = 'base.py'\ncustom_hooks = [{STOPPING}]",
        "child__py": "_base_ = 'parent.py'\ncustom_hooks = [dict(type='EMAHook')]",
    }
    later, first = load(tmp_path, name="child.py", **files)
    lost = "replaces the list of its base, so that the training loses"
    assert f"note: custom_hooks in child.py {lost} EarlyStoppingHook. If " in later
    assert f"problem: custom_hooks in parent.py {lost} NPUHook. Fix: " in first


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("my.json", '{"_base_": ["b.py", "a.py"], "custom_hooks": [HOOK]}'),
        ("my.yaml", "_base_: [b.py, a.py]\ncustom_hooks: [HOOK]"),
        ("my.v2.py", "_base_ = ['b.py', 'a.py']\ncustom_hooks = [HOOK]"),
        ("my.py", "_base_ = ['{{ fileDirname }}/a.py']\ncustom_hooks = [HOOK]"),
    ],
)
def test_bases_are_those_that_mmengine_reads(tmp_path, name, text):
    """In each format, also in a folder with a dot, of which 0.1.0 is no friend."""
    folder = tmp_path / "v1.0"
    folder.mkdir()
    write(folder, a__py="custom_hooks = [dict(type='EMAHook')]", b__py="x = 1")
    text = text.replace("HOOK", '{"type": "ValLossHook"}')
    (folder / name).write_text(text, encoding="utf-8")
    (finding,) = load(folder, name=name)
    assert finding.startswith(f"problem: custom_hooks in {name} replaces the list")
    assert "the training loses EMAHook. Fix: default_hooks=dict(val_loss=" in finding
    assert ("custom_hooks=[*_base_.custom_hooks" in finding) == name.endswith(".py")


def test_base_of_a_package_is_read(tmp_path, monkeypatch):
    """The config of a package itself has lost nothing, whatever its bases say."""
    folder = tmp_path / "mmdet" / ".mim" / "configs" / "rtmdet"
    folder.mkdir(parents=True)
    write(folder, base__py=BASE, rtmdet__py="_base_ = './base.py'")
    write(folder, tiny__py="_base_ = './rtmdet.py'\ncustom_hooks = []")
    (folder.parents[1] / "model-index.yml").write_text("Import: []")
    # mmengine uses pkg_resources, which not every environment has.
    monkeypatch.setattr(mmengine_config, "is_installed", lambda package: True)
    path = str(tmp_path / "mmdet")
    monkeypatch.setattr(mmengine_config, "get_installed_path", lambda package: path)
    child = f"_base_ = 'mmdet::rtmdet/rtmdet.py'\ncustom_hooks = [{STOPPING}]"
    (text,) = load(tmp_path, my__py=child)
    assert "the training loses EMAHook, PipelineSwitchHook. Fix: " in text
    kept = child.replace("[", "[*_base_.custom_hooks, ")
    assert load(tmp_path, my__py=kept) == []
    assert load(tmp_path, name="mmdet::rtmdet/tiny.py") == []


@pytest.mark.skipif(
    not hasattr(Config, "_parse_lazy_import"),
    reason="configs that import what they name came with mmengine 0.8.0",
)
def test_new_style_config_has_no_files_to_check(tmp_path):
    """Its bases are imported by mmengine and not merged."""
    child = f"""
        from mmengine.config import read_base
        with read_base():
            from .base import *
        custom_hooks = [{STOPPING}]
    """
    assert load(tmp_path, base__py=BASE, my__py=child) == []


@pytest.mark.filterwarnings(
    # Config.fromfile leaves its copy of a file with an error open.
    "ignore:unclosed file:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_recording_leaves_mmengine_as_it_was(tmp_path):
    """Also after a config that cannot be read."""
    before = Config._file2dict
    with pytest.raises(CommandError):
        load(tmp_path, base__py="1 / 0", my__py="_base_ = 'base.py'")
    assert Config._file2dict is before
    assert load(tmp_path, base__py="x = 1") == []


def test_mmengine_without_the_recorded_function_records_nothing(monkeypatch):
    """It is private, so that a release may read its files in another way."""
    monkeypatch.delattr(Config, "_file2dict")
    with check_bases.record_files() as recorded:
        pass
    assert recorded == []
