"""``doctor CONFIG``: configs that a package ships, and modules that one imports."""

from __future__ import annotations

from mmengine.config import config as mmengine_config

from valloss_compat._cli.doctor import config_file

CONFIG = """
model = dict(type='Net')
custom_imports = dict(imports=['module_that_is_not_there'])
"""


def test_a_config_that_a_package_ships(tmp_path, monkeypatch):
    """Is read as any other: what it imports is not imported."""
    folder = tmp_path / "mmocr" / ".mim" / "configs" / "nets"
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(CONFIG)
    (folder.parents[1] / "model-index.yml").write_text("Import: []")
    # mmengine asks pkg_resources, which not every environment has.
    monkeypatch.setattr(mmengine_config, "is_installed", lambda package: True)
    place = str(tmp_path / "mmocr")
    monkeypatch.setattr(mmengine_config, "get_installed_path", lambda package: place)
    known = config_file.load("mmocr::nets/net.py")
    assert known["model"]["type"] == "Net"
    assert config_file.custom_imports(known) == ["module_that_is_not_there"]


def test_an_import_that_exits(tmp_path, monkeypatch):
    """Fails as others do: what comes behind it is imported."""
    (tmp_path / "leaving_at_once.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["leaving_at_once", "json", "n_o"]
    failed = config_file.import_custom_modules({"custom_imports": {"imports": names}})
    assert failed[0] == ("leaving_at_once", "SystemExit: 3")
    assert [name for name, _ in failed] == ["leaving_at_once", "n_o"]


def test_imports_in_all_forms():
    """A dict of a list or a name."""
    of = config_file.custom_imports
    assert of({"custom_imports": {"imports": ["a", "b"]}}) == ["a", "b"]
    assert of({"custom_imports": {"imports": "a"}}) == ["a"]
    assert of({}) == of({"custom_imports": 5}) == []
    failed = config_file.import_custom_modules(
        {"custom_imports": {"imports": ["json", "n_o"]}}
    )
    assert [name for name, _ in failed] == ["n_o"]
