"""The command: check each config in processes of its library, and write the tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from tqdm import tqdm

from downstream.sweep import picture, shipped, table
from downstream.sweep.check import NOT_CHECKED
from downstream.sweep.kinds import LIBRARIES

#: Configs of a process: what leaks is freed with it.
CHUNK = 150
#: Seconds that a process may be without a line: more than it gives a config, as that
#: counts those of a processor.
PATIENCE = 600


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m downstream.sweep")
    parser.add_argument("names", nargs="*", metavar="LIBRARY or part of a config")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="of the tables")
    parser.add_argument(
        "--resume", action="store_true", help="keep the verdicts that are there"
    )
    parser.add_argument(
        "--kinds", action="store_true", help="write the table of kinds and end"
    )
    parser.add_argument(
        "--picture", action="store_true", help="draw the tables that are there"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.write or Path(temporary)
        configs = shipped.chosen(options.names)
        if options.picture:
            return picture.draw(folder)
        if options.kinds:
            entries = [shipped.entry(*one)[0]._asdict() for one in tqdm(configs)]
            table.write(folder / "configs.csv", table.KINDS, entries)
            return 0
        rows = sweep(configs, folder / "verdicts.csv", options.resume)
        for line in table.summary(rows):
            print(line)
    return 0


def sweep(
    configs: Sequence[Tuple[str, str]], path: Path, resume: bool
) -> List[Dict[str, str]]:
    """Check configs; each line is in the table as soon as it is known.

    Args:
        configs (Sequence[tuple]): Library and path of each.
        path (Path): The table. Lines of other configs are kept.
        resume (bool): Keep lines of these configs that are there.

    Returns:
        list[dict]: The lines of these configs.
    """
    rows = table.read(path)
    if not resume:
        rows = {key: row for key, row in rows.items() if key not in set(configs)}
    table.write(path, table.VERDICTS, rows.values())
    left = [key for key in configs if key not in rows]
    with tqdm(total=len(left), smoothing=0.05) as bar:
        for library in LIBRARIES:
            of_library = [config for name, config in left if name == library]
            for row in _checked(library, of_library, rows):
                rows[library, row["config"]] = row
                table.append(path, table.VERDICTS, row)
                bar.set_description(f"{library} {row['config'][-40:]}")
                bar.update()
    order = [key for key in shipped.chosen(()) if key in rows]
    table.write(path, table.VERDICTS, [rows[key] for key in order])
    return [rows[key] for key in configs]


def _checked(
    library: str, configs: List[str], rows: table.Rows
) -> Iterator[Dict[str, str]]:
    """The lines of configs of a library, from one process after another."""
    while configs:
        known = [
            row
            for (name, _), row in rows.items()
            if name == library and row.get("signature")
        ]
        task = {"library": library, "configs": configs[:CHUNK], "known": known}
        for row in _lines(library, task):
            configs.remove(row["config"])
            yield row


def _lines(library: str, task: Any) -> Iterator[Dict[str, str]]:
    """The lines of one process; it is ended if a config takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "task.json"), Path(folder, "rows.jsonl")
        given.write_text(json.dumps(task))
        out.touch()
        command = [sys.executable, "-m", "downstream.sweep.worker", given, out]
        with Path(folder, "errors.txt").open("w+") as errors, out.open() as lines:
            process = subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
            )
            begun, number = "", 0
            try:
                for begun, row in _read(process, lines):
                    if row:
                        begun, number = "", number + 1
                        yield row
            finally:
                process.kill()
                code = process.wait()
            errors.seek(0)
            text = errors.read()
        if begun:
            yield _broken(library, begun, code)
        elif not number:
            raise RuntimeError(f"no config of {library} was checked:\n{text[-2000:]}")


def _read(process: Any, lines: Any) -> Iterator[Any]:
    """What a process writes, until it ends or is ended."""
    begun, last = "", time.monotonic()
    while True:
        ended = process.poll() is not None
        line = lines.readline()
        if line:
            last = time.monotonic()
            begun, row = json.loads(line)
            begun = "" if row else begun
            yield json.loads(line)
        elif ended:
            return
        elif begun and time.monotonic() - last > PATIENCE:
            process.kill()
        else:
            time.sleep(0.05)


def _broken(library: str, config: str, code: int) -> Dict[str, str]:
    reason = f"the process ended with code {code}"
    if code < 0:
        reason = f"the process was ended by signal {-code}: it took too long or crashed"
    entry, _ = shipped.entry(library, config)
    row = {**entry._asdict(), "verdict": NOT_CHECKED, "repair": "", "run_as": config}
    return {**row, "reason": reason}
