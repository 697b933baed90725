"""The task graph of a build and its scheduler: float training -> fine-tuning and QAT -> conversions, each once.

Tasks go to worker processes in the order of the longest path behind them. A task that another build is working on is not
done twice: its lock is taken, so it is looked at again until that build has published it or given up.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

import harness.core.errors
from harness.core.errors import HarnessError
from harness.variants.build.cache import BuildCache, Kind
from harness.variants.build.pool import BuildWorker, Event, WorkerEnd, WorkerPool
from harness.variants.build.steps import DEADLINE_S, Step, limit_s, overdue_reason
from harness.variants.refusals import REFUSAL_VERSION, Subject, crash_reason

BuildProgress = Callable[[str, int, int], None]
"""Called with (what is being done, tasks done, tasks in all)."""

#: how long the scheduler sleeps between looks at tasks that another build holds, seconds
_POLL_S = 0.2
_WAIT_S = 30.0
#: a worker imports TensorFlow in 5 to 10 s; after this it never will
_START_S = 300.0
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
        readers: the Kerases that can do it, the best first; the next one is tried where a model has no copy in one.
        follows: the training whose Keras this task needs, whatever `readers` says.
        subject: what refusals say about model and recipe.
        step: what a running job is doing, since `since` (monotonic seconds).
    """

    key: str
    kind: Kind
    label: str
    weight: Literal["float", "finetune", "qat", "convert"]
    job: dict[str, Any]
    needs: tuple[str, ...]
    manifest: Callable[[dict[str, dict[str, Any]]], dict[str, Any]]
    subject: Subject
    readers: tuple[int, ...] = (2,)
    follows: str | None = None
    step: Step = "preparing"
    since: float = 0.0
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
        deadline_s: how long a conversion, or a training without progress, may take; see `steps`.
    """

    def __init__(
        self,
        cache: BuildCache,
        pool: WorkerPool,
        tasks: Iterable[Task],
        progress: BuildProgress | None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
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
                    for event in self._pool.wait(self._patience_s(held_elsewhere)):
                        self._handle(event)
                    self._end_overdue()
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
        # What an idle worker's Keras can do goes first: a worker with the other one takes seconds to start.
        for task in sorted(ready, key=lambda task: not self._pool.idle(self._keras(task))):
            room = len(self._running) < self._pool.size
            if not room:
                break
            task.lock = self._cache.lock(task.key)
            if task.lock is None:
                held_elsewhere = True
                continue
            self._begin(task)
        if self._running:
            self._start_ahead()
        return held_elsewhere

    def _start_ahead(self) -> None:
        """Workers take seconds to load TensorFlow: those that will be wanted start while the first training runs."""
        wanted = Counter(self._keras(task) for task in (*self._open, *self._running.values()))
        present = Counter(worker.keras for worker in self._pool.workers)
        for keras, count in wanted.most_common():
            for _ in range(count - present[keras]):
                if len(self._pool.workers) >= self._pool.size:
                    return
                self._pool.start(keras)

    def _keras(self, task: Task) -> int:
        """The Keras that a task takes next: that of the training it goes on from, or the first that is left to try."""
        trained = self._done.get(task.follows, {}).get("keras") if task.follows else None
        return int(trained or task.readers[0])

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
            self._refuse(task, refused["refused"], refused_by="training", is_final=not refused.get("not_kept"))
            return
        self._running[task.key] = task
        keras = self._keras(task)
        worker = self._pool.take(keras)
        worker.task, task.share = task, 0.0
        task.step, task.since = "preparing", time.monotonic()
        worker.send({**task.job, "keras": keras, "out": str(task.folder)})

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
            if worker.task is not None:
                worker.task.since = time.monotonic()
        elif "step" in message or "progress" in message:
            self._note(worker.task, message)
        elif "error" in message:
            error = message["error"]
            kind = getattr(harness.core.errors, error["kind"], HarnessError)
            raise kind(error["what"], where=error["where"], hint=error["hint"])
        elif "defect" in message:
            raise RuntimeError(f"a defect of the harness in a build worker:\n{message['defect']}")
        else:
            task, worker.task = worker.task, None
            del self._running[task.key]
            if "refused" not in message:
                self._publish(task, {**message["result"], "keras": worker.keras})
            elif message.get("another_keras") and len(task.readers) > 1:
                task.readers = task.readers[1:]
                self._again(task)
            else:
                hint = f" ({message['hint']})" if message["hint"] else ""
                self._refuse(task, message["refused"] + hint)

    def _note(self, task: Task | None, message: dict[str, Any]) -> None:
        """Keeps what a job says about itself."""
        if task is None:
            return
        if "step" in message:
            task.step, task.since = message["step"], time.monotonic()
        elif message["progress"] > task.share:
            task.share, task.since = message["progress"], time.monotonic()

    def _patience_s(self, held_elsewhere: bool) -> float:
        """How long to wait for the next message: until something is due."""
        now = time.monotonic()
        due = [self._due(worker, worker.task) - now for worker in self._pool.workers if worker.task is not None]
        return max(0.0, min([_POLL_S if held_elsewhere else _WAIT_S, *due]))

    def _due(self, worker: BuildWorker, task: Task) -> float:
        """When a worker must have said something, monotonic seconds."""
        if not worker.ready:
            return worker.started + _START_S
        return task.since + limit_s(task.step, self._deadline_s)

    def _end_overdue(self) -> None:
        """Ends jobs that take longer than their step may, with their processes. That is no property of the model alone
        (the machine may be busy), so it is not remembered: the next build tries again."""
        now = time.monotonic()
        for worker in list(self._pool.workers):
            task = worker.task
            if task is not None and now >= self._due(worker, task):
                if not worker.ready:
                    raise HarnessError(
                        f"a build worker did not load TensorFlow within {_START_S:g} s",
                        hint="check that it can be imported: python -c 'import tensorflow'",
                    )
                self._pool.discard(worker)
                del self._running[task.key]
                self._refuse(task, overdue_reason(task.step, self._deadline_s), is_final=False)

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
            self._again(task)
            return
        self._refuse(task, crash_reason(task.subject, task.step, end.text), log_tail=end.log_tail)

    def _again(self, task: Task) -> None:
        """Puts a task back in front, as if it had not begun."""
        shutil.rmtree(task.folder, ignore_errors=True)
        self._release(task)
        self._open.insert(0, task)

    def _refuse(self, task: Task, reason: str, *, is_final: bool = True, **facts: Any) -> None:
        """Ends a task without a result; `is_final` is what another build may rely on."""
        for path in task.folder.iterdir():  # a crashed or refusing job may have left half a file
            path.unlink()
        result = {"refused": reason, "refusal_version": REFUSAL_VERSION, **facts}
        if is_final:
            self._publish(task, result)
            return
        shutil.rmtree(task.folder, ignore_errors=True)
        self._finish(task, {**task.manifest(self._needs(task)), **result, "key": task.key, "not_kept": True})

    def _publish(self, task: Task, result: dict[str, Any]) -> None:
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
