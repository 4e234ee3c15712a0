"""The pages of the libraries are made from the tables of the sweep."""

from __future__ import annotations

import csv
import json
import sys

import pytest
from support.blocks import ROOT

sys.path.insert(0, str(ROOT / "docs"))

import generated

pytestmark = pytest.mark.slow  # asks nothing of mmengine

HEAD = "# the sweep, today\n# torch 2.1.2\n"
CONFIGS = """library,config,family,kind,reason
mmdet,a/1.py,a,supervised,
mmdet,a/2.py,a,supervised,
mmdet,b/1.py,b,no loss,it tracks
mmseg,c/1.py,c,supervised,
"""
VERDICTS = """library,config,family,kind,verdict,repair,reason,run_as
mmdet,a/1.py,a,supervised,accepted,the loss gets X of the training; Y,,a/1.py
mmdet,a/2.py,a,supervised,rejected,,Head (a|b): <wrong>. Fix: no_reuse,a/2.py
"""


@pytest.fixture
def written(tmp_path):
    """Return the lines of the pages of a small sweep, by their names."""
    folder = tmp_path / "docs" / "coverage"
    folder.mkdir(parents=True)
    (folder / "configs.csv").write_text(HEAD + CONFIGS, encoding="utf-8")
    (folder / "verdicts.csv").write_text(HEAD + VERDICTS, encoding="utf-8")
    (tmp_path / "docs" / "libraries").mkdir()
    (tmp_path / "docs" / "libraries" / "gone.md").touch()
    generated.write(tmp_path / "docs")
    pages = (tmp_path / "docs" / "libraries").glob("*.md")
    return {page.stem: page.read_text("utf-8").splitlines() for page in pages}


def test_overview_counts_verdicts_by_library(written, tmp_path):
    assert set(written) == {"mmdet", "mmseg"}
    assert generated.overview(tmp_path / "docs") == [
        "",
        "| library | shipped | supervised | accepted | rejected | not checked |",
        "|---|--:|--:|--:|--:|--:|",
        "| mmdet | 3 | 2 | 1 | 1 | 0 |",
        "| mmsegmentation | 1 | 1 | 0 | 0 | 0 |",
        "| all | 4 | 3 | 1 | 1 | 0 |",
        "",
        "The sweep has reached 2 of 3 configs of supervised models (`the sweep`, "
        "today).",
        "",
    ]


def test_page_has_repairs_reasons_and_families(written):
    assert written["mmdet"][2] == (
        "3 shipped configs, 2 of them of supervised models. The sweep has reached 2: "
        "1 accepted, 1 rejected, 0 not checked."
    )
    for line in (
        "| X of the training | 1 |",
        "| Y | 1 |",
        r"- **a** (1): Head (a\|b): \<wrong\>. Fix: no\_reuse",
        "- **b** (1): it tracks",
        "| a | 1 | 1 |  |",
    ):
        assert line in written["mmdet"]
    assert "## Not checked" not in written["mmdet"]


def test_every_row_of_the_tables_is_counted():
    """The numbers of the overview are those of the tables."""
    _, rows = generated.read(ROOT / "docs" / "coverage" / "verdicts.csv")
    _, configs = generated.read(ROOT / "docs" / "coverage" / "configs.csv")
    assert {row["verdict"] for row in rows} <= set(generated.VERDICTS)
    total = generated.overview(ROOT / "docs")[-4]
    supervised = [r for r in configs if r["kind"] == generated.SUPERVISED]
    shown = [int(cell) for cell in total.split("|")[2:-1]]
    assert shown[:2] == [len(configs), len(supervised)]
    assert sum(shown[2:]) == len(rows)


def test_benchmark_has_a_row_for_each_figure():
    path = ROOT / "benchmarks" / "results.json"
    lines = generated.recording(path)
    assert next(csv.reader([lines[2]], delimiter="|"))[1] == " what "
    figures = json.loads(path.read_text(encoding="utf-8"))["targets"]
    wanted = [figure["met"] for figure in figures if figure["target"]]
    ends = [line.split("|")[-2].strip() for line in lines if line.endswith("|")]
    shown = [end == "met" for end in ends if end in ("met", "MISSED")]
    assert len(wanted) > 5
    assert shown == wanted
