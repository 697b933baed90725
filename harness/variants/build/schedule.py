"""The task graph of a build and its scheduler: float training -> fine-tuning and QAT -> conversions, each once.

Tasks go to worker processes in the order of the longest path behind them. A task that another build is working on is not
done twice: its lock is taken, so it is looked at again until that build has published it or given up.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

import harness.core.errors
from harness.core.errors import HarnessError
from harness.variants.build.cache import BuildCache, Kind
from harness.variants.build.pool import BuildWorker, Event, WorkerEnd, WorkerPool

BuildProgress = Callable[[str, int, int], None]
"""Called with (what is being done, tasks done, tasks in all)."""

#: how long the scheduler sleeps between looks at tasks that another build holds, seconds
_POLL_S = 0.2
_WAIT_S = 30.0
#: rough relative durations, to find the longest path; measured on the published networks
_WEIGHTS = {"float": 8.0, "finetune": 1.5, "qat": 3.0, "convert": 1.0}
#: a crash may be the last straw of earlier jobs in that process: only a second one, in a fresh worker, is a refusal
_ATTEMPTS = 2


@dataclass(kw_only=True)
class Task:
    """One training or conversion.

    Attributes:
        key: of the cache entry it makes.
        label: for people, such as `mnist-cnn qat`.
        weight: one of `_WEIGHTS`.
        job: the worker's job, without `out`.
        needs: keys of trainings that must be finished before.
        manifest: what the entry's manifest says besides the worker's result; called with the manifests of `needs`.
    """

    key: str
    kind: Kind
    label: str
    weight: Literal["float", "finetune", "qat", "convert"]
    job: dict[str, Any]
    needs: tuple[str, ...]
    manifest: Callable[[dict[str, dict[str, Any]]], dict[str, Any]]
    priority: float = 0.0
    attempts: int = 0
    share: float = 0.0
    lock: FileLock | None = field(default=None, repr=False)
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """`out`, the folder that a task fills once it has begun."""
        if self.out is None:
            raise ValueError(f"{self.label} has not begun")
        return self.out


def set_priorities(tasks: Iterable[Task]) -> None:
    """Gives each task the weight of the longest path that starts with it."""
    by_key = {task.key: task for task in tasks}
    users: dict[str, list[Task]] = {}
    for task in by_key.values():
        for need in task.needs:
            users.setdefault(need, []).append(task)

    def longest(task: Task) -> float:
        behind = max((longest(user) for user in users.get(task.key, ())), default=0.0)
        task.priority = _WEIGHTS[task.weight] + behind
        return task.priority

    for task in by_key.values():
        longest(task)


class Scheduler:
    """Runs tasks on a pool of workers.

    Args:
        cache: where entries go.
        pool: the workers.
        tasks: what to do; a need that is no task must be in the cache already.
        progress: told about every change.
    """

    def __init__(
        self, cache: BuildCache, pool: WorkerPool, tasks: Iterable[Task], progress: BuildProgress | None
    ) -> None:
        self._cache = cache
        self._pool = pool
        self._tasks = {task.key: task for task in tasks}
        set_priorities(self._tasks.values())
        self._open = sorted(self._tasks.values(), key=lambda task: -task.priority)
        self._running: dict[str, Task] = {}
        self._done: dict[str, dict[str, Any]] = {}
        self._progress = progress or (lambda what, done, total: None)

    def run(self) -> dict[str, dict[str, Any]]:
        """Runs every task.

        Returns:
            key -> manifest of each task's entry; refused combinations have `refused` set.

        Raises:
            HarnessError: data, model, cache or machine is in the way; finished entries stay in the cache.
        """
        try:
            while self._open or self._running:
                held_elsewhere = self._assign()
                self._report(held_elsewhere)
                if self._running or held_elsewhere:
                    for event in self._pool.wait(_POLL_S if held_elsewhere else _WAIT_S):
                        self._handle(event)
        except BaseException:
            self._pool.stop()
            for task in self._running.values():
                shutil.rmtree(task.folder, ignore_errors=True)
                self._release(task)
            raise
        return self._done

    def _assign(self) -> bool:
        """Gives ready tasks to idle workers. Returns whether a ready task is held by another build."""
        held_elsewhere = False
        ready = [task for task in self._open if all(self._need(key) for key in task.needs)]
        for task in ready:
            room = len(self._running) < self._pool.size
            if not room:
                break
            task.lock = self._cache.lock(task.key)
            if task.lock is None:
                held_elsewhere = True
                continue
            self._begin(task)
        # Workers take seconds to load TensorFlow: those that will be wanted start while the first training runs.
        if self._running:
            self._pool.start(len(self._open) + len(self._running))
        return held_elsewhere

    def _begin(self, task: Task) -> None:
        """Starts a task whose lock is held, or finishes it at once where nothing is left to do."""
        self._open.remove(task)
        found = self._cache.find(task.kind, task.key)
        if found is not None:  # another build has made it meanwhile
            self._finish(task, found)
            return
        task.out = self._cache.temporary_folder()
        needs = self._needs(task)
        refused = next((manifest for manifest in needs.values() if manifest.get("refused")), None)
        if refused is not None:
            self._publish(task, {"refused": refused["refused"], "refused_by": "training"})
            return
        self._running[task.key] = task
        if not self._pool.idle():
            self._pool.start(len(self._pool.workers) + 1)
        worker = self._pool.idle()[0]
        worker.task, task.share = task, 0.0
        worker.send({**task.job, "out": str(task.folder)})

    def _needs(self, task: Task) -> dict[str, dict[str, Any]]:
        """The manifests of the trainings that a ready task stands on; all of them are finished."""
        return {key: self._done[key] for key in task.needs}

    def _need(self, key: str) -> dict[str, Any] | None:
        """The manifest of a finished training, of this build or an earlier one; None while it is not finished."""
        if key not in self._done and key not in self._tasks:
            manifest = self._cache.find("training", key)
            if manifest is None:
                raise HarnessError(
                    "a training vanished from the build cache while it was needed",
                    where=str(self._cache.root),
                    hint="build again; do not delete the cache's files during a build",
                )
            self._done[key] = manifest
        return self._done.get(key)

    def _handle(self, event: Event) -> None:
        worker, message = event.worker, event.message
        if event.end is not None:
            self._worker_ended(worker, event.end)
        elif "ready" in message:
            worker.ready = True
        elif "progress" in message:
            if worker.task is not None:
                worker.task.share = message["progress"]
        elif "error" in message:
            error = message["error"]
            kind = getattr(harness.core.errors, error["kind"], HarnessError)
            raise kind(error["what"], where=error["where"], hint=error["hint"])
        elif "defect" in message:
            raise RuntimeError(f"a defect of the harness in a build worker:\n{message['defect']}")
        else:
            task, worker.task = worker.task, None
            del self._running[task.key]
            if "refused" in message:
                hint = f" ({message['hint']})" if message["hint"] else ""
                self._publish(task, {"refused": message["refused"] + hint})
            else:
                self._publish(task, message["result"])

    def _worker_ended(self, worker: BuildWorker, end: WorkerEnd) -> None:
        """A crash in a job becomes a refusal when it happens twice; a kill from outside ends the build."""
        task = worker.task
        if not end.crashed:
            out_of_memory = (
                "the system may be out of memory: build with fewer --jobs" if end.signal == "SIGKILL" else None
            )
            raise HarnessError(
                f"a build worker was killed from outside ({end.signal}); nothing is broken in the cache",
                where=task.label if task else None,
                hint=out_of_memory or "build again",
            )
        if task is None or not worker.ready:
            raise HarnessError(
                f"a build worker ended while starting ({end.text})",
                hint="check that TensorFlow can be imported: python -c 'import tensorflow'",
            )
        del self._running[task.key]
        task.attempts += 1
        if task.attempts < _ATTEMPTS:
            shutil.rmtree(task.folder, ignore_errors=True)
            self._release(task)
            self._open.insert(0, task)
            return
        what = "the converter" if task.kind == "artifact" else "the training"
        self._publish(task, {"refused": f"{what} crashed the process ({end.text})", "log_tail": end.log_tail})

    def _publish(self, task: Task, result: dict[str, Any]) -> None:
        if "refused" in result:
            for path in task.folder.iterdir():  # a crashed or refusing job may have left half a file
                path.unlink()
        needs = self._needs(task)
        manifest = self._cache.publish(task.kind, task.key, task.folder, {**task.manifest(needs), **result})
        if task.kind == "artifact":
            self._cache.index(manifest["request_key"], task.key)
        self._finish(task, manifest)

    def _finish(self, task: Task, manifest: dict[str, Any]) -> None:
        self._done[task.key] = manifest
        self._release(task)
        self._report(False)

    def _release(self, task: Task) -> None:
        if task.lock is not None:
            task.lock.release()
            task.lock = None

    def _report(self, held_elsewhere: bool) -> None:
        labels = [f"{task.label} {task.share:.0%}" if task.share else task.label for task in self._running.values()]
        if held_elsewhere and not labels:
            labels = ["waiting for another build of the same"]
        self._progress(", ".join(labels), len(self._tasks) - len(self._open) - len(self._running), len(self._tasks))
