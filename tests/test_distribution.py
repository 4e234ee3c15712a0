"""Which distribution the imported mmengine comes from."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import types

import mmengine
import pytest

import valloss_compat
from valloss_compat._distribution import Distribution, distributions_of

CELL = os.environ.get("VALLOSS_COMPAT_CELL", "")


@pytest.fixture
def site(tmp_path):
    """A site-packages with a package ``mmengine`` and nothing else."""
    package = tmp_path / "mmengine"
    package.mkdir()
    for name in ("__init__.py", "version.py"):
        (package / name).write_text(f"# {name}\n")
    return tmp_path


def module_in(site):
    module = types.ModuleType("mmengine")
    module.__file__ = str(site / "mmengine" / "__init__.py")
    return module


def hash_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def install(site, name, version, files):
    """Metadata as pip writes it: name, version, and the hash of each file."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no field\n"
    )
    record = [f"mmengine/{file},{hash_of(text)},9" for file, text in files.items()]
    (folder / "RECORD").write_text("\n".join(record))
    return folder


RIGHT = {"__init__.py": "# __init__.py\n", "version.py": "# version.py\n"}


def test_status_names_the_distribution_of_this_environment():
    """Mmengine itself or one of its forks, as installed."""
    known = valloss_compat.status().distribution
    wanted = {"lite": "mmengine-lite", "onedl": "onedl-mmengine"}
    for part, name in wanted.items():
        if f"-{part}" in CELL:
            assert known == name
    (whose,) = distributions_of(mmengine)
    assert (known, mmengine.__version__) == (whose.name, whose.version)
    assert valloss_compat.status().notes == []
    assert f"(distribution {known})" in repr(valloss_compat.status())


def test_of_two_over_each_other_the_one_whose_files_lie_there(site, monkeypatch):
    """The conflict is a note of the status, with the remedy."""
    install(site, "mmengine", "0.10.4", {**RIGHT, "version.py": "of another"})
    os.utime(install(site, "mmengine-lite", "0.10.7", RIGHT), (1, 1))  # no matter when
    assert distributions_of(module_in(site)) == [
        Distribution("mmengine-lite", "0.10.7"),
        Distribution("mmengine", "0.10.4"),
    ]
    monkeypatch.setitem(valloss_compat._api.sys.modules, "mmengine", module_in(site))
    status = valloss_compat.status()
    assert status.distribution == "mmengine-lite"
    assert status.notes == [
        "mmengine-lite 0.10.7 and mmengine 0.10.4 are installed over each other, and "
        "each has overwritten files of the other: uninstall all of them, then install "
        "the one you want"
    ]
    assert f"note: {status.notes[0]}" in repr(status).splitlines()


def test_of_two_with_the_same_files_the_last_one_installed(site):
    """It is who overwrote."""
    for name, age in (("mmengine", 1), ("mmengine-lite", 3), ("mmengine-open", 2)):
        os.utime(install(site, name, "0.10.7", RIGHT), (age, age))
    names = [known.name for known in distributions_of(module_in(site))]
    assert names == ["mmengine-lite", "mmengine-open", "mmengine"]


def test_metadata_of_others_does_not_count(site):
    """A distribution with the name in its own, whose files are elsewhere."""
    install(site, "mmengine-tools", "1.0", {})
    folder = install(site, "my-mmengine", "1.0", {})
    (folder / "RECORD").write_text("mmengine_tools/__init__.py,,9\n")
    (site / "mmengine-2.0.dist-info").mkdir()  # the rest of an uninstall
    assert distributions_of(module_in(site)) == []


def test_an_egg_info_beside_the_package_is_its_own(site):
    """As `setup.py develop` leaves it in the source tree."""
    for name in ("mmengine", "other"):
        folder = site / f"{name}.egg-info"
        folder.mkdir()
        (folder / "PKG-INFO").write_text(f"Name: {name}\nVersion: 0.9.1\n")
    assert distributions_of(module_in(site)) == [Distribution("mmengine", "0.9.1")]


def test_an_editable_install_is_found_where_it_is_installed(site, monkeypatch):
    """Its metadata stands in another folder, and says where the source is."""
    elsewhere = site / "site-packages"
    elsewhere.mkdir()
    (elsewhere / "a_file.txt").write_text("")
    for name, url in (
        ("mmengine", site.as_uri()),
        ("other", (site / "other").as_uri()),
        ("archive", None),
        ("plain", None),
    ):
        folder = install(elsewhere, name, "0.10.4", {})
        text = {"url": url, "dir_info": {"editable": True}} if url else {"url": ""}
        if name != "plain":
            (folder / "direct_url.json").write_text(json.dumps(text))
    missing = str(site / "not there")
    monkeypatch.setattr("sys.path", [missing, str(elsewhere)])
    assert distributions_of(module_in(site)) == [Distribution("mmengine", "0.10.4")]


def test_without_a_package_or_metadata_nothing_is_known(site, monkeypatch):
    """And nothing breaks: the status says None."""
    assert distributions_of(None) == []
    assert distributions_of(types.ModuleType("mmengine")) == []
    assert distributions_of(module_in(site)) == []
    folder = install(site, "mmengine", "0.10.4", {"__init__.py": "gone"})
    (folder / "METADATA").unlink()
    (site / "mmengine" / "__init__.py").unlink()
    assert distributions_of(module_in(site)) == []
    monkeypatch.delitem(valloss_compat._api.sys.modules, "mmengine")
    status = valloss_compat.status()
    assert (status.mmengine, status.distribution) == (None, None)
