"""Where the two ends of a run live: processes forked from a server that has imported everything once."""

import contextlib
import multiprocessing
from multiprocessing.context import ForkServerContext
import os
from typing import Final

CONTEXT: Final[ForkServerContext] = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "benchmarks.far_end",
        "benchmarks.near_end",
        "benchmarks.coordinator_client",
        "benchmarks.integration_client",
        "benchmarks.line_client",
        "benchmarks.yaml_clients",
    ]
)


def keep_others_out(*, punctual: bool = False) -> None:
    """Run before whatever else the machine does, where that is allowed (root); the same for every client.

    `punctual` is for the emulated line, which sleeps most of the time and has to wake up on the dot.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        if punctual:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
