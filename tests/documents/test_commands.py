"""The commands of README.md and docs/ do what the text around them says."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys

import pytest
from cli.plot import work_dirs
from support.blocks import ROOT

from documents.shipped import shell, write_library
from valloss_compat._cli import main

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def environments():
    """Return the sections of tox.ini."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(str(ROOT / "tox.ini"), encoding="utf-8")
    return parser


@pytest.fixture
def library(tmp_path):
    """Return a folder with a library, and a config with both hooks on top of it."""
    write_library(tmp_path)
    (tmp_path / "my_config.py").write_text(
        "_base_ = ['./shipped.py']\n"
        "default_hooks = dict(val_loss=dict(type='ValLossHook'), early_stopping=dict("
        "type='EarlyStoppingHook', monitor='val_loss', min_delta=1e-4))\n",
        encoding="utf-8",
    )
    return tmp_path


def assert_stops(nursery, block, folder):
    done = shell(nursery, block.text, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "stopped after epoch 6"


@pytest.mark.slow
def test_run_script_trains(block, nursery, library):
    """The train script is that of an installed mmpretrain, which the shell looks up."""
    package = library / "mmpretrain"
    (package / ".mim").mkdir(parents=True)
    (package / "__init__.py").touch()
    (library / "tools").rename(package / ".mim" / "tools")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    words = subprocess.check_output(
        ["sh", "-ec", f"printf '%s ' {block.text}"],
        cwd=str(library),
        env={**os.environ, "PATH": path},
        text=True,
    )
    assert_stops(nursery, block._replace(text=words), library)


@pytest.mark.slow
def test_run_library_config_trains(block, nursery, library):
    assert_stops(nursery, block, library)


@pytest.mark.slow
def test_run_work_dir_hands_on_arguments(block, nursery, library):
    assert_stops(nursery, block, library)
    assert (library / "work" / "last_checkpoint").exists()


@pytest.mark.slow
def test_cfg_options_add_both_hooks(block, nursery, library):
    """The config itself has none of them."""
    assert_stops(nursery, block, library)
    assert list(library.glob("work_dirs/best_val_loss_epoch_1.pth"))


@pytest.mark.slow
def test_doctor_library_config_accepts_it(block, nursery, library):
    done = shell(nursery, block.text, library)
    assert done.returncode == 0, done.stdout
    assert "no problem" in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_environment_chooses_options(block, nursery):
    expected = ["default sample False", "parity batch False", "default sample True"]
    expected.append("off batch False")
    script = (
        "import valloss_compat\nstatus = valloss_compat.status()\n"
        "print(status.mode, status.options.weighting, status.options.strict)"
    )
    found = []
    for line in block.text.splitlines():
        variable, value = re.match(r"(\w+)=(\S+) python train\.py$", line).groups()
        found += nursery.run(script, env={variable: value}).stdout.splitlines()
    assert found == expected


# ---- plot ----


@pytest.fixture
def two_work_dirs(tmp_path, monkeypatch):
    """Write work dirs with the validation losses that the page shows."""
    monkeypatch.chdir(tmp_path)
    for name, best, epoch, last in (
        ("lr_0.003", 0.6528, 7, 17),
        ("lr_0.001", 0.5568, 15, 25),
    ):
        losses = [best + abs(number - epoch) / 10 for number in range(1, last + 1)]
        start = tmp_path / "work_dirs" / name / "20260101_000000"
        work_dirs.write(start, work_dirs.epochs(losses))


def plotted(block, capsys):
    command = re.search(r"python -m valloss_compat (plot .*)", block.text).group(1)
    assert main(command.split()) == 0
    with open("curves.png", "rb") as picture:
        assert picture.read(4) == b"\x89PNG"
    return capsys.readouterr().out


@pytest.mark.slow
def test_plot_draws_two_work_dirs(block, two_work_dirs, capsys):
    assert plotted(block, capsys).count("best val_loss") == 2


@pytest.mark.slow
def test_plot_output_is_what_the_page_shows(block, two_work_dirs, capsys):
    assert plotted(block, capsys) == block.text.split("\n", 1)[1]


@pytest.mark.slow
def test_two_runs_of_the_demo_train(block, tmp_path):
    """For one epoch each."""
    pytest.importorskip("sklearn", reason="no scikit-learn: tox's `coverage` has it")
    path = os.pathsep.join(sys.path)
    for line in block.text.splitlines():
        words = line.split()
        assert words[0] == "python"
        done = subprocess.run(
            [sys.executable, str(ROOT / words[1]), *words[2:], "--epochs", "1"],
            cwd=str(tmp_path),
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "work_dirs").iterdir()} == {
        "lr_0.003",
        "lr_0.001",
    }


# ---- Set-up and packaging ----


def test_tests_is_the_command_that_ci_runs(block):
    """.ci/run finds exactly one, and runs it as it stands."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -E '(.+)' README\.md", script).group(1)
    lines = README.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.search(pattern, line)] == [block.text.strip()]


def test_demo_runs_the_demo_by_the_set_up_of_the_tests(block, environments):
    """tests/test_examples.py runs the demo itself."""
    command, _, name = block.text.strip().rpartition(" -e ")
    assert command in README.read_text(encoding="utf-8").splitlines()
    commands = environments[f"testenv:{name}"]["commands"]
    assert commands.startswith("python examples{/}digits.py")


def test_install_is_run_by_tox_package(block, environments):
    check_package(block, environments)


def test_install_offline_is_run_by_tox_package(block, environments):
    check_package(block, environments)


def check_package(block, environments):
    """These need a package index; .ci/package.py runs them by their names."""
    assert environments["testenv:package"]["commands"].startswith(
        "python .ci{/}package.py"
    )
    script = (ROOT / ".ci" / "package.py").read_text(encoding="utf-8")
    assert f'"{block.name}"' in script


def test_pins_are_those_that_the_tests_run_with(block, environments):
    pins = re.findall(r'"(.+?)"', block.text)
    assert len(pins) == 3
    deps = environments["testenv"]["deps"]
    assert [pin for pin in pins if pin not in deps] == []


def test_benchmark_names_an_environment_of_tox(block, environments):
    """It takes minutes; CI does not run it."""
    name = block.text.strip().rpartition(" -e ")[2]
    script = environments[f"testenv:{name}"]["commands"].split()[1]
    assert (ROOT / script.replace("{/}", "/")).is_file()


def test_matrix_names_a_script(block):
    """It takes two hours; CI does not run it."""
    assert (ROOT / block.text.split()[1]).is_file()


def test_release_links_leaves_no_relative_link(block, tmp_path):
    (tmp_path / "README.md").write_bytes(README.read_bytes())
    link = re.compile(r"(?:\]\(|src=\"|srcset=\")(?!https?://|#)")
    assert link.search(README.read_text(encoding="utf-8"))
    subprocess.run(
        ["bash", "-e", "-c", block.text],
        cwd=str(tmp_path),
        env={**os.environ, "BASE": "https://example.org/raw/v0.1.0"},
        check=True,
    )
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert link.findall(text) == []
    for name in re.findall(r"example\.org/raw/v0\.1\.0/([^)#\"]+)", text):
        assert (ROOT / name).exists()


def test_set_up_is_that_of_the_tests(block, environments):
    """The environments exist; CI runs each of them."""
    first, second = block.text.splitlines()
    assert f"{first} && .venv/bin/tox run" in README.read_text(encoding="utf-8")
    known = [*environments, "testenv:py-torch-mmengine0.10.4"]
    names = second.rpartition(" -e ")[2].split(",")
    assert [name for name in names if f"testenv:{name}" not in known] == []
