"""``doctor CONFIG``: configs in packages, and custom imports."""

from __future__ import annotations

from mmengine.config import config as mmengine_config

from valloss_compat._cli.doctor import config_file

CONFIG = """
model = dict(type='Net')
custom_imports = dict(imports=['module_that_is_not_there'])
"""


def test_config_of_package_is_loaded_without_its_imports(tmp_path, monkeypatch):
    folder = tmp_path / "mmocr" / ".mim" / "configs" / "nets"
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(CONFIG)
    (folder.parents[1] / "model-index.yml").write_text("Import: []")
    # mmengine uses pkg_resources, which not every environment has.
    monkeypatch.setattr(mmengine_config, "is_installed", lambda package: True)
    package_path = str(tmp_path / "mmocr")
    monkeypatch.setattr(
        mmengine_config, "get_installed_path", lambda package: package_path
    )
    config = config_file.load("mmocr::nets/net.py")
    assert config["model"]["type"] == "Net"
    assert config_file.custom_imports(config) == ["module_that_is_not_there"]


def test_import_that_exits_fails(tmp_path, monkeypatch):
    """Like other imports. The modules after it are imported."""
    (tmp_path / "leaving_at_once.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["leaving_at_once", "json", "n_o"]
    failed = config_file.import_custom_modules({"custom_imports": {"imports": names}})
    assert failed[0] == ("leaving_at_once", "SystemExit: 3")
    assert [name for name, _ in failed] == ["leaving_at_once", "n_o"]


def test_custom_imports_are_read_in_all_forms():
    """A dict with a list or a name, and entries of the wrong type."""
    custom_imports = config_file.custom_imports
    assert custom_imports({"custom_imports": {"imports": ["a", "b"]}}) == ["a", "b"]
    assert custom_imports({"custom_imports": {"imports": "a"}}) == ["a"]
    assert custom_imports({}) == custom_imports({"custom_imports": 5}) == []
    failed = config_file.import_custom_modules(
        {"custom_imports": {"imports": ["json", "n_o"]}}
    )
    assert [name for name, _ in failed] == ["n_o"]
