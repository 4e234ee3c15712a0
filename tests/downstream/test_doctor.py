"""``doctor CONFIG`` on shipped configs: no wrong verdict in either direction."""

from __future__ import annotations

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")
pytest.importorskip("mmpretrain", reason="the sweep's environment has mmpretrain")

from downstream.doctor_configs import FAILING, WORKING
from valloss_compat._cli.doctor import check_bases, check_config, config_file

pytestmark = pytest.mark.filterwarnings("ignore")


def findings_on(folder, base, text):
    pytest.importorskip(base.partition("::")[0])
    path = folder / "config.py"
    path.write_text(f"_base_ = [{base!r}]\n{text}\n", encoding="utf-8")
    with check_bases.record_files() as files:
        contents = config_file.load(str(path))
    # Building a dataset may download it.
    for name in ("train_dataloader", "val_dataloader"):
        contents[name] = contents.get(name) and {"dataset": {"type": "NotHere"}}
    failed = config_file.import_custom_modules(contents)
    found = check_config.check_config(contents, failed)
    return [*found, *check_bases.check_bases(files)]


@pytest.mark.parametrize("row", FAILING, ids=lambda row: row[0])
def test_config_that_fails_has_a_problem(tmp_path, row):
    findings = findings_on(tmp_path, *row[1:])
    assert "problem" in {finding.severity for finding in findings}, findings


@pytest.mark.parametrize("row", WORKING, ids=lambda row: row[0])
def test_config_that_works_has_no_problem(tmp_path, row):
    findings = findings_on(tmp_path, *row[1:])
    assert [finding for finding in findings if finding.severity == "problem"] == []
