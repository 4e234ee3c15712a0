"""Which distribution the imported mmengine comes from."""

from __future__ import annotations

import os
import sys
import types

import mmengine
import pytest

import valloss_compat
from valloss_compat._distribution import Distribution, distributions_of

CELL = os.environ.get("VALLOSS_COMPAT_CELL", "")
has_metadata = pytest.mark.skipif(
    sys.version_info < (3, 8), reason="importlib.metadata came with Python 3.8"
)


def module_in(site, version="0.10.7"):
    """The package ``mmengine`` of a site-packages folder, as if imported."""
    init = site / "mmengine" / "__init__.py"
    init.parent.mkdir(exist_ok=True)
    init.write_text("")
    module = types.ModuleType("mmengine")
    module.__file__ = str(init)
    module.__version__ = version
    return module


def install(site, name, version, files=("mmengine/__init__.py",)):
    """Write the metadata that pip writes: name, version and recorded files."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))


@has_metadata
def test_status_names_the_installed_distribution():
    """Of this environment: mmengine itself or one of its forks."""
    known = valloss_compat.status().distribution
    wanted = {"lite": "mmengine-lite", "onedl": "onedl-mmengine"}
    for part, name in wanted.items():
        if f"-{part}" in CELL:
            assert known == name
    (distribution,) = distributions_of(mmengine)
    assert (known, mmengine.__version__) == (distribution.name, distribution.version)
    assert valloss_compat.status().notes == []
    assert f"(distribution {known})" in repr(valloss_compat.status())


def test_python_without_importlib_metadata_reports_no_distribution(monkeypatch):
    """Python 3.7; the status goes without the name."""
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)
    distributions_of.cache_clear()
    assert distributions_of(mmengine) == []
    status = valloss_compat.status()
    assert status.distribution is None
    assert f"mmengine {mmengine.__version__}, torch" in repr(status)
    distributions_of.cache_clear()


@has_metadata
@pytest.mark.parametrize(
    "name", ["mmengine", "mmengine-lite", "mmengine-open", "onedl-mmengine"]
)
def test_each_distribution_of_mmengine_is_found(tmp_path, name):
    install(tmp_path, name, "0.10.7")
    assert distributions_of(module_in(tmp_path)) == [Distribution(name, "0.10.7")]


@has_metadata
def test_overwritten_distributions_are_noted_and_the_imported_one_comes_first(
    tmp_path, monkeypatch
):
    """The note of the status says how to get out of the conflict."""
    install(tmp_path, "mmengine", "0.10.4")
    install(tmp_path, "mmengine-lite", "0.10.7")
    package = module_in(tmp_path, "0.10.7")
    assert distributions_of(package) == [
        Distribution("mmengine-lite", "0.10.7"),
        Distribution("mmengine", "0.10.4"),
    ]
    monkeypatch.setitem(valloss_compat._api.sys.modules, "mmengine", package)
    status = valloss_compat.status()
    assert status.distribution == "mmengine-lite"
    assert status.notes == [
        "mmengine-lite 0.10.7 and mmengine 0.10.4 are installed in one environment and "
        "have overwritten files of each other. Fix: uninstall all of them, then "
        "install one"
    ]
    assert f"note: {status.notes[0]}" in repr(status).splitlines()


@has_metadata
def test_metadata_that_does_not_record_the_package_is_ignored(tmp_path):
    """Of an editable install, of an incomplete uninstall, of other packages."""
    install(tmp_path, "mmengine", "0.10.4", ["__editable__.mmengine-0.10.4.pth"])
    (tmp_path / "onedl_mmengine-0.10.12.dist-info").mkdir()
    install(tmp_path, "mmengine-tools", "1.0", ["mmengine_tools/__init__.py"])
    assert distributions_of(module_in(tmp_path)) == []


@has_metadata
def test_editable_install_is_found_by_the_egg_info_in_its_source_tree(tmp_path):
    """Setuptools leaves it there; on other packages in the tree nothing depends."""
    for name in ("mmengine", "other"):
        folder = tmp_path / f"{name}.egg-info"
        folder.mkdir()
        (folder / "PKG-INFO").write_text(f"Name: {name}\nVersion: 0.9.1\n")
        (folder / "SOURCES.txt").write_text(f"setup.py\n{name}/__init__.py\n")
    package = module_in(tmp_path, "0.9.1")
    assert distributions_of(package) == [Distribution("mmengine", "0.9.1")]


@pytest.mark.parametrize("package", [None, types.ModuleType("mmengine")])
def test_package_without_a_file_has_no_distribution(package):
    assert distributions_of(package) == []


def test_status_without_mmengine_names_none(monkeypatch):
    monkeypatch.delitem(valloss_compat._api.sys.modules, "mmengine")
    status = valloss_compat.status()
    assert (status.mmengine, status.distribution) == (None, None)
