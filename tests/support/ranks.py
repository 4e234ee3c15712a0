"""Processes that communicate over gloo, one a rank."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from support.fresh import Nursery

_SCRIPT = """
import json, os, sys, tempfile, traceback
FOLDER, WORLD = tempfile.mkdtemp(), {world}
{body}

def run(rank):
    import torch.distributed as dist
    dist.init_process_group('gloo', init_method='file://' + FOLDER + '/store',
                            rank=rank, world_size=WORLD)
    result = rank_main(rank)
    with open(FOLDER + '/%d.json' % rank, 'w') as file:
        json.dump(result, file)
    dist.barrier()

children = []
for rank in range(WORLD):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(rank)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    children.append(child)
assert not [1 for child in children if os.waitpid(child, 0)[1]]
print(json.dumps([json.load(open(FOLDER + '/%d.json' % r)) for r in range(WORLD)]))
"""


def run_ranks(
    nursery: Nursery, world: int, body: str, env: Optional[Dict[str, str]] = None
) -> List[Any]:
    """Run a script on several ranks.

    Args:
        nursery (Nursery): Starts the processes.
        world (int): Number of ranks.
        body (str): Source that defines ``rank_main(rank)``; it finds the names
            ``FOLDER`` (a directory for all ranks) and ``WORLD``.
        env (dict, optional): Environment variables.

    Returns:
        list: The return value of each ``rank_main``, after JSON.
    """
    script = _SCRIPT.replace("{world}", str(world)).replace("{body}", body)
    results: List[Any] = nursery.run(script, env=env).json()
    return results
