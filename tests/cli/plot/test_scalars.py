"""Which lines of a log plot reads, and which it leaves out and tells of."""

from __future__ import annotations

import math

import pytest

from cli.plot.work_dirs import read, write
from valloss_compat._cli.plot import scalars
from valloss_compat.errors import CommandError


@pytest.mark.parametrize("tag", ["lr", "generator.lr", "discriminator/base_lr"])
def test_a_learning_rate_tells_training(tag):
    """With one optimizer, and with several."""
    assert scalars.is_train({tag: 0.1, "loss": 1.0, "step": 1})
    assert not scalars.is_train({"val_loss": 1.0, "val/clr": 1.0, "step": 1})


@pytest.mark.parametrize("tag", ["epoch", "iter"])
def test_a_place_in_the_training_tells_it_as_well(tag):
    """Where the runner has no optimizer that would log a rate."""
    assert scalars.is_train({tag: 1, "loss": 1.0, "step": 1})


def test_a_start_is_named_by_its_own_timestamp(tmp_path):
    """Whatever the folder of the work dir is called."""
    start = tmp_path / "20250101_000000" / "run" / "20260101_000000"
    write(start, [{"val_loss": 1.0, "step": 1}])
    (found,) = read(start / "vis_data" / "scalars.json")
    assert found.name == "20260101_000000"


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, ", ...")])
def test_what_a_folder_holds_that_is_no_work_dir(tmp_path, count, more):
    """Five names, and whether there are others."""
    for name in "abcdef"[:count]:
        (tmp_path / name).write_text("")
    with pytest.raises(CommandError, match=f"but a, b, c, d, e{more}[.] Give"):
        scalars.find(str(tmp_path))


def test_lines_that_are_not_whole(tmp_path):
    """Left out and told of: the last of a run that goes on, others of crashes."""
    text = '{"lr": 0.1, "loss": 1.0, "step": 1}\n{"lr": 0.1, "lo'
    write(tmp_path / "20260101_000000", [], tail=text)
    (file,) = scalars.find(str(tmp_path))
    starts, notes = scalars.read(file)
    assert [len(start.lines) for start in starts] == [1]
    half = "the last line is half written (the run goes on, or was killed): left out"
    assert notes == [half]
    with open(file, "w", encoding="utf-8") as stream:
        stream.write('{"lr\n[1]\n\n' + text)
    assert scalars.read(file)[1] == [half, "2 broken lines left out, the first is 1"]


@pytest.mark.parametrize(
    "broken",
    [
        '{"lr": 0.1, "loss": 1.0}',
        '{"lr": 0.1, "loss": 1.0, "step": NaN}',
        '{"lr": 0.1, "loss": 1.0, "step": true}',
        '{"val_loss": 1.0, "step": 1' + "0" * 400 + "}",
        "[" * 100000,
    ],
    ids=["no step", "NaN", "a boolean", "too far", "nested"],
)
def test_lines_that_no_training_wrote(tmp_path, broken):
    """Left out and told of, as those that are not whole."""
    good = '{"lr": 0.1, "loss": 1.0, "step": 1}\n'
    write(tmp_path / "20260101_000000", [], tail=good + broken + "\n" + good)
    (file,) = scalars.find(str(tmp_path))
    assert scalars.read(file)[1] == ["1 broken lines left out, the first is 2"]


def test_numbers_that_no_axis_can_show(tmp_path):
    """They are as good as infinite."""
    line = '{"a": 1' + "0" * 400 + ', "b": -1e308, "c": NaN, "d": 1e100, "step": 1}'
    write(tmp_path / "20260101_000000", [], tail=line)
    (file,) = scalars.find(str(tmp_path))
    (told,) = scalars.read(file)[0][0].lines
    assert (told["a"], told["b"], told["d"]) == (math.inf, -math.inf, 1e100)
    assert math.isnan(told["c"])


def test_what_is_no_number_is_left_out(tmp_path):
    """Metrics may be texts or lists since mmengine 0.5.0."""
    tail = '{"lr": 0.1, "loss": NaN, "a": "b", "c": [1], "step": 1}\n'
    write(tmp_path / "a", [], tail=tail)
    (line,) = read(tmp_path / "a" / "vis_data" / "scalars.json")[0].lines
    assert set(line) == {"lr", "loss", "step"}
    assert math.isnan(line["loss"])
