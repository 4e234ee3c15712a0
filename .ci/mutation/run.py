"""Mutation testing: is there a test that fails for each defect put into the package?

    tox run -e mutation -- _patches/patch options             these modules
    tox run -e mutation                                       all
    tox run -e mutation -- --share 0.05 --part 2              the second twentieth

cosmic-ray makes the mutants, in copies of the tree. They run in forks of processes that
have torch and mmengine imported, on several releases, as no release has all branches. A
mutant survives if all tests pass on all releases. Survivors are printed as diffs.
Modules run in parallel, one in each lane: a copy of the tree with its own servers.

All of them take days; a share, drawn evenly, takes hours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Dict, List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cell
from table import ROOT, Table

#: Timeout for endless loops: a whole run of the tests takes a minute at most.
SECONDS = 300


class Lane(NamedTuple):
    """A copy of the tree, and the sockets of the servers that test it."""

    tree: Path
    sockets: List[Path]


def ask(module: str, sockets: List[Path]) -> List[str]:
    """Return the command that fails if a test fails on a mutant."""
    client = str(ROOT / ".ci" / "mutation" / "client.py")
    return [sys.executable, "-S", client, module, *map(str, sockets)]


def passes(path: Path) -> bool:
    """Tell whether all tests pass on a release without a mutant."""
    return not subprocess.call(ask("-", [path]))


def serve(release: str, tree: Path, path: Path) -> subprocess.Popen[bytes]:
    """Start the server of one release."""
    table = Table()
    folder = cell.folders(table.release(release), None, sys.executable)
    # For the interpreters that tests start.
    search = os.pathsep.join(map(str, [*folder, tree]))
    variables = {**os.environ, "PYTHONPATH": search}
    variables.pop(
        "VALLOSS_COMPAT_CELL", None
    )  # the tests run on the tree, not on a wheel
    server = str(ROOT / ".ci" / "mutation" / "server.py")
    command = [sys.executable, server, str(tree), str(path)]
    process = subprocess.Popen(command, env=variables, start_new_session=True)
    while not path.exists():
        if process.poll() is not None:
            raise RuntimeError(f"no server for {release}: see above")
        time.sleep(0.1)
    return process


def mutate(module: str, lane: Lane, share: float, part: int) -> Dict[str, List[str]]:
    """Try the mutants of one module.

    Args:
        module (str): Its path in the package, without the suffix.
        lane (Lane): The lane to use.
        share (float): Fraction of the mutants that is tried.
        part (int): Which fraction, from 1; no mutant is in two parts.

    Returns:
        dict: Outcome -> the diffs of the mutants with that outcome.
    """
    tree = lane.tree
    config = tree / "mutants.toml"
    config.write_text(
        "[cosmic-ray]\n"
        f"module-path = 'valloss_compat/{module}.py'\n"
        f"timeout = {SECONDS * len(lane.sockets)}.0\n"
        "excluded-modules = []\n"
        f"test-command = '{' '.join(ask(module, lane.sockets))}'\n"
        "[cosmic-ray.distributor]\nname = 'local'\n"
    )
    session = tree / f"{module.replace('/', '.')}.sqlite"
    program = shutil.which("cosmic-ray") or "cosmic-ray"
    init = [program, "init", "--force", str(config), str(session)]
    subprocess.run(init, cwd=tree, check=True)
    if draw(module, session, share, part):
        run = [program, "exec", str(config), str(session)]
        subprocess.run(run, cwd=tree, check=True)
    dump = subprocess.check_output([program, "dump", str(session)], cwd=tree, text=True)
    found: Dict[str, List[str]] = {}
    for line in dump.splitlines():
        _, result = json.loads(line)
        if result is not None and result["worker_outcome"] != "skipped":
            outcome = result["test_outcome"] or result["worker_outcome"]
            found.setdefault(str(outcome), []).append(result["diff"] or "")
    return found


def draw(module: str, session: Path, share: float, part: int) -> int:
    """Mark all mutants but a share as skipped; return how many are left."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    left = 0
    chance, begin = random.Random(module), share * (part - 1)
    with use_db(str(session), WorkDB.Mode.open) as database:
        for item in list(database.pending_work_items):
            if begin <= chance.random() < begin + share:
                left += 1
                continue
            skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
            database.set_result(item.job_id, skipped)
    return left


def copy(tree: Path) -> None:
    """Copy the files that git knows."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in names.split("\0")[:-1]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)


def main() -> int:
    """Mutate the requested modules; fail below 95 %."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="as _patches/loops; default: all")
    parser.add_argument("--releases", nargs="+", default=["0.10.4", "0.10.7", "0.6.0"])
    parser.add_argument("--share", type=float, default=1.0, help="1: all mutants")
    parser.add_argument("--part", type=int, default=1, help="which share of them")
    parser.add_argument("--lanes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    package = ROOT / "valloss_compat"
    every = [path.relative_to(package) for path in sorted(package.rglob("*.py"))]
    modules = options.modules or [str(path.with_suffix("")) for path in every]
    free: Queue[Lane] = Queue()
    lanes: List[Lane] = []
    servers = []

    def tried(module: str) -> Dict[str, List[str]]:
        lane = free.get()
        start = time.monotonic()
        try:
            found = mutate(module, lane, options.share, options.part)
        finally:
            free.put(lane)
        # Without an answer from the server a mutant would count as killed.
        if any(server.poll() is not None for server in servers):
            raise RuntimeError(f"{module}: a server has ended: see above")
        minutes = (time.monotonic() - start) / 60
        counts = {outcome: len(diffs) for outcome, diffs in found.items()}
        print(*found.get("survived", []), sep="\n")
        print(f"{module}: {counts}, {minutes:.1f} minutes", flush=True)
        return found

    with tempfile.TemporaryDirectory() as name:
        try:
            for number in range(options.lanes):
                folder = Path(name) / str(number)
                lane = Lane(folder / "tree", [folder / r for r in options.releases])
                copy(lane.tree)
                for path in lane.sockets:
                    servers.append(serve(path.name, lane.tree, path))
                lanes.append(lane)
                free.put(lane)
            # Each release in another lane, so that all cores have work.
            each = [
                lanes[number % len(lanes)].sockets[number]
                for number in range(len(options.releases))
            ]
            with ThreadPoolExecutor(options.lanes) as pool:
                if not all(pool.map(passes, each)):
                    raise RuntimeError("a test fails without any defect")
                results = list(pool.map(tried, modules))
        finally:
            for server in servers:
                cell.kill_group(server)
    total = sum(len(diffs) for found in results for diffs in found.values())
    dead = total - sum(len(found.get("survived", [])) for found in results)
    print(f"{dead} of {total} mutants killed, {100 * dead / max(1, total):.1f} %")
    return int(dead < 0.95 * total)


if __name__ == "__main__":
    sys.exit(main())
