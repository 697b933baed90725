"""Runs the planned cells on their devices, at once where they can be; stops cleanly at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from harness.run.budget import Budget
from harness.run.device import DeviceRunner
from harness.run.jobs import DeviceJob, Execution


def execute(jobs: Sequence[DeviceJob], execution: Execution, *, budget_s: float | None = None) -> None:
    """Runs all jobs. Devices that share a machine (`exclusive` in the profile) run one after the other, others at once.

    Every cell ends in the store, whatever happens to its device.

    Raises:
        KeyboardInterrupt: after the links are closed and the finished cells are safe.
    """
    groups: dict[str, list[DeviceJob]] = {}
    for job in jobs:
        groups.setdefault(job.profile.lock_name, []).append(job)
    if not groups:
        return
    pool = ThreadPoolExecutor(max_workers=len(groups), thread_name_prefix="device")
    futures = {pool.submit(_run_group, group, execution, budget_s) for group in groups.values()}
    try:
        pending = futures
        while pending:
            # A bounded wait: Ctrl-C must reach this thread while the devices work.
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
    except BaseException:
        execution.interrupt()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_group(jobs: Sequence[DeviceJob], execution: Execution, budget_s: float | None) -> None:
    budget = Budget(total_s=budget_s, cells=sum(len(job.cells) for job in jobs))
    for job in jobs:
        if execution.stop.is_set():
            return
        DeviceRunner(job=job, execution=execution, budget=budget).run()
