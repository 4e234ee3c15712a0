"""Lines of scalars.json that are read, and lines that are skipped with a note."""

from __future__ import annotations

import math

import pytest

from cli.plot.work_dirs import read, write
from valloss_compat._cli.plot import scalars
from valloss_compat.errors import CommandError

pytestmark = pytest.mark.slow  # reads files only


@pytest.mark.parametrize("tag", ["lr", "generator.lr", "discriminator/base_lr"])
def test_line_with_a_learning_rate_is_training(tag):
    """With one optimizer, and with several."""
    assert scalars.is_train({tag: 0.1, "loss": 1.0, "step": 1})
    assert not scalars.is_train({"val_loss": 1.0, "val/clr": 1.0, "step": 1})


@pytest.mark.parametrize("tag", ["epoch", "iter"])
def test_line_with_an_epoch_or_iteration_is_training(tag):
    """A runner without an optimizer logs no learning rate."""
    assert scalars.is_train({tag: 1, "loss": 1.0, "step": 1})


def test_start_has_the_name_of_its_own_timestamp(tmp_path):
    """Not the name of another folder in the path."""
    start = tmp_path / "20250101_000000" / "run" / "20260101_000000"
    write(start, [{"val_loss": 1.0, "step": 1}])
    (found,) = read(start / "vis_data" / "scalars.json")
    assert found.name == "20260101_000000"


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, ", ...")])
def test_error_lists_the_content_of_a_folder_without_scalars(tmp_path, count, more):
    """Five names, and dots if there are more."""
    for name in "abcdef"[:count]:
        (tmp_path / name).write_text("")
    with pytest.raises(CommandError, match=f"but a, b, c, d, e{more}[.] Fix"):
        scalars.find(str(tmp_path))


def test_incomplete_lines_are_skipped_with_a_note(tmp_path):
    """The last line of a running training, and others after a crash."""
    text = '{"lr": 0.1, "loss": 1.0, "step": 1}\n{"lr": 0.1, "lo'
    write(tmp_path / "20260101_000000", [], tail=text)
    (file,) = scalars.find(str(tmp_path))
    starts, notes = scalars.read(file)
    assert [len(start.lines) for start in starts] == [1]
    half = "the last line is half written and left out: the run goes on, or was killed"
    assert notes == [half]
    with open(file, "w", encoding="utf-8") as stream:
        stream.write('{"lr\n[1]\n\n' + text)
    assert scalars.read(file)[1] == [half, "2 broken lines are left out, first line 1"]


@pytest.mark.parametrize(
    "broken",
    [
        '{"lr": 0.1, "loss": 1.0}',
        '{"lr": 0.1, "loss": 1.0, "step": NaN}',
        '{"lr": 0.1, "loss": 1.0, "step": true}',
        '{"val_loss": 1.0, "step": 1' + "0" * 400 + "}",
        '{"lr": 0.1, "loss": 1.0, "step": 1, "epoch": Infinity}',
        "[" * 100000,
    ],
    ids=["no step", "NaN", "a boolean", "too far", "no last epoch", "nested"],
)
def test_invalid_lines_are_skipped_with_a_note(tmp_path, broken):
    """The format of mmengine has no such lines."""
    good = '{"lr": 0.1, "loss": 1.0, "step": 1}\n'
    write(tmp_path / "20260101_000000", [], tail=good + broken + "\n" + good)
    (file,) = scalars.find(str(tmp_path))
    assert scalars.read(file)[1] == ["1 broken lines are left out, first line 2"]


def test_int_beyond_the_range_of_float_is_infinite(tmp_path):
    """As a loss that has diverged. Its line is kept."""
    tail = '{"lr": 0.1, "loss": 1' + "0" * 400 + ', "step": 1}\n'
    write(tmp_path / "a", [], tail=tail)
    starts, notes = scalars.read(str(tmp_path / "a" / "vis_data" / "scalars.json"))
    assert (starts[0].lines, notes) == ([{"lr": 0.1, "loss": math.inf, "step": 1}], [])


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    """Metrics may be texts or lists since mmengine 0.5.0."""
    tail = '{"lr": 0.1, "loss": NaN, "a": "b", "c": [1], "step": 1}\n'
    write(tmp_path / "a", [], tail=tail)
    (line,) = read(tmp_path / "a" / "vis_data" / "scalars.json")[0].lines
    assert set(line) == {"lr", "loss", "step"}
    assert math.isnan(line["loss"])
