"""How often is a right device called `wrong`, and how many defects are found? The rule of `wrong` and the one before it.

    python benchmarks/bench_wrong.py [--models DIR] [--built] [--only NAME] [--runtimes NAME==VERSION ...] [--no-defects]
        [--check-all-ops] [--json FILE]
    python benchmarks/bench_wrong.py --tables FILE ...

Models: networks of 15 designs, generated and quantized here (benchmarks/wrong/generated.py), the .tflite files of DIR (NAME.npz
beside one has its samples), and with --built the published workloads in seven recipes. Runtimes: five versions as host
environments, each with its three kinds of kernels. A pair is right unless the data files of `harness/tflite/runtimes/` know
its defect. Then every kind of defect is planted at the first, a middle and the last layer of each integer model
(benchmarks/wrong/defects.py), run on a runtime whose rounding is not the reference's. State is reset before each sample.
Exit status 1 when a target is missed: 0 false `wrong`, 77 % of all and 94 % of harmful defects by outputs, 95 % of harmful
with ops.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.wrong.defects import DEFECTS, Defect
from benchmarks.wrong.generated import generated
from benchmarks.wrong.planting import planted
from benchmarks.wrong.rules import References, harmful, new_rule, old_rule
from benchmarks.wrong.subject import Runner, Subject, folder_subjects
from harness.core.errors import HarnessError
from harness.envs.hostenv import ensure_runtime_env
from harness.measure.op_cases import OpCase, record_cases
from harness.measure.op_check import check_ops
from harness.measure.twins import twin_answers
from harness.tflite.fakequant.twin import float_twin
from harness.tflite.support import runtime_supports
from tests.support.host_runtime import HostRuntime, RuntimeRefused

RUNTIMES = (
    "tflite-runtime==2.14.0", "ai-edge-litert==1.0.1", "ai-edge-litert==1.2.0", "ai-edge-litert==2.0.3", "ai-edge-litert==2.3.0",
)  # fmt: skip
KERNELS = ("reference", "no-default-delegate", "default")
#: whose float kernels answer for the twins, and whose reference kernels answered before
FLOAT, OLD = "ai-edge-litert==2.3.0", "tflite-runtime==2.14.0"
#: defects are planted on these in turn: double and single rounding, neither that of the twin's
PLANTED_ON = (("tflite-runtime==2.14.0", "default"), ("ai-edge-litert==2.3.0", "no-default-delegate"))
#: share that must be found: all by outputs, harmful by outputs, harmful with ops
TARGETS = (0.77, 0.94, 0.95)
_FEW = 32
#: a model whose float twin takes longer than this for its samples gets half of them, and no defects: its kernels take minutes
_PATIENCE_S = 4.0


@dataclass(kw_only=True)
class Pair:
    """A model on a runtime with one kind of kernels, as it is."""

    model: str
    runtime: str
    kernels: str
    known_bad: bool
    verdict: str
    doubt: bool
    with_ops: str
    few: str
    old_wrong: bool
    error: float
    bias: float
    classes: float
    ops_wrong: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Found:
    """A planted defect and who found it."""

    model: str
    defect: str
    size: str
    node: int
    harmful: bool
    outputs: bool
    with_ops: bool
    ops: bool
    old: bool


@dataclass(kw_only=True)
class Result:
    pairs: list[Pair] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class Runtimes:
    """The runtimes of this machine, made on demand; use as a context manager."""

    def __init__(self) -> None:
        self._open: dict[str, HostRuntime] = {}

    def __enter__(self) -> Runtimes:
        return self

    def __exit__(self, *error: object) -> None:
        for runtime in self._open.values():
            runtime.__exit__(*error)

    def get(self, package: str) -> HostRuntime:
        if package not in self._open:
            self._open[package] = HostRuntime(str(ensure_runtime_env(package, progress=print).python))
        return self._open[package]

    def runner(self, package: str, kernels: str) -> Runner:
        return lambda model, inputs: self.get(package).run(model, inputs, kernels=kernels)


def run_bench(
    subjects: Iterable[Subject],
    runtimes: Runtimes,
    *,
    packages: Sequence[str] = RUNTIMES,
    defects: tuple[Defect, ...] = DEFECTS,
    check_all_ops: bool = False,
    say=lambda _line: None,
    keep=lambda _result: None,
) -> Result:
    """Measures; `keep` gets what there is after each subject, and an interrupt ends it with that.

    Args:
        packages: the runtimes that models are run on.
        defects: that are planted; none: pairs only.
        check_all_ops: asks the ops of every pair, also where the rule would not.
    """
    result = Result()
    run_float = runtimes.runner(FLOAT, "default")
    try:
        for number, subject in enumerate(subjects):
            began = time.monotonic()
            try:
                slow = _is_slow(subject, run_float)
                references = _references(subject, runtimes)
                cases = list(record_cases(subject.model, subject.feeds, run_float))
            except (HarnessError, RuntimeRefused) as error:
                result.skipped.append(f"{subject.name}: {error}")
                continue
            pairs = list(_pairs(subject, runtimes, references, cases, packages, check_all_ops))
            found = []
            if subject.is_integer and defects and not subject.repeats and not slow:
                run = runtimes.runner(*PLANTED_ON[number % len(PLANTED_ON)])
                found = list(_found(subject, run, references, cases, defects))
            result.pairs += pairs
            result.found += found
            keep(result)
            say(f"{subject.name}: {len(pairs)} pairs, {len(found)} defects, {time.monotonic() - began:.0f} s")
    except KeyboardInterrupt:
        say("interrupted: the tables are of what was measured until now")
    return result


def _is_slow(subject: Subject, run_float: Runner) -> bool:
    """Halves the samples of a model that takes long."""
    began = time.monotonic()
    run_float(float_twin(subject.model).model, subject.feeds)
    slow = time.monotonic() - began > _PATIENCE_S
    if slow:
        subject.feeds = [values[: len(values) // 2] for values in subject.feeds]
    return slow


def _references(subject: Subject, runtimes: Runtimes) -> References:
    answers = twin_answers(subject.model, subject.feeds, runtimes.runner(FLOAT, "default"))
    name, version = OLD.split("==")
    right = subject.is_integer and runtime_supports(name, version, subject.graph).right
    try:
        old = runtimes.runner(OLD if right else FLOAT, "reference")(subject.model, subject.feeds)
    except RuntimeRefused:
        old = None
    return References(answers=answers, old=old)


def _pairs(
    subject: Subject,
    runtimes: Runtimes,
    references: References,
    cases: list[OpCase],
    packages: Sequence[str],
    check_all_ops: bool,
) -> Iterator[Pair]:
    for package in packages:
        for kernels in KERNELS:
            run = runtimes.runner(package, kernels)
            try:
                outputs = run(subject.model, subject.feeds)
            except RuntimeRefused:
                continue
            name, version = package.split("==")
            support = runtime_supports(name, version, subject.graph, kernels=kernels, machine=platform.machine())
            judged = new_rule(subject, outputs, references)
            few = new_rule(subject, [values[:_FEW] for values in outputs], references)
            figures = judged.outputs[0]
            pair = Pair(
                model=subject.name, runtime=package, kernels=kernels, known_bad=support.right is False,
                verdict=judged.verdict, doubt=judged.doubt is not None, with_ops=judged.verdict, few=few.verdict,
                old_wrong=old_rule(subject, outputs, references),
                error=(figures.error or 0.0) / (figures.noise or 1.0), bias=(figures.bias or 0.0) / (figures.noise or 1.0),
                classes=(figures.disagreement or 0.0) - (figures.own_disagreement or 0.0),
            )  # fmt: skip
            if judged.ask_ops or check_all_ops:
                checked = check_ops(cases, _as_device(run), seconds_left=lambda: 1e9)
                pair.ops_wrong = [f"{op.node} {op.op}" for op in checked.wrong]
                pair.with_ops = _with_ops(judged, checked.verdict)
            yield pair


def _found(
    subject: Subject, run: Runner, references: References, cases: list[OpCase], defects: tuple[Defect, ...]
) -> Iterator[Found]:
    for one in planted(subject, run, {case.node: case for case in cases}, defects):
        judged = new_rule(subject, one.outputs, references)
        op_wrong = one.op is not None and one.op.verdict == "wrong"
        yield Found(
            model=subject.name,
            defect=one.defect.name,
            size=one.defect.size,
            node=one.node,
            harmful=harmful(subject, subject.real(one.clean), subject.real(one.outputs)),
            outputs=judged.verdict == "wrong",
            with_ops=judged.verdict == "wrong" or (judged.ask_ops and op_wrong),
            ops=op_wrong,
            old=old_rule(subject, one.outputs, references),
        )


def _with_ops(judged, ops: str) -> str:
    """The verdict after the ops were asked: they decide the undecided, and make `wrong` of a doubt; `wrong` stays."""
    if judged.verdict == "undecided":
        return ops
    return "wrong" if judged.doubt is not None and ops == "wrong" else judged.verdict


def _as_device(run: Runner):
    """A runner whose refusals are those of a board's worker."""
    from harness.boards.base import WorkerFailure

    def device(model, inputs):
        try:
            return run(model, inputs)
        except RuntimeRefused as error:
            raise WorkerFailure(str(error), kind="exception", phase="load") from None

    return device


# ------------------------------------------------------------------------------------------------------------- tables


def read_results(files: Sequence[Path]) -> Result:
    """What several measurements found together."""
    result = Result()
    for file in files:
        stored = json.loads(file.read_text())
        result.pairs += [Pair(**pair) for pair in stored["pairs"]]
        result.found += [Found(**found) for found in stored["found"]]
        result.skipped += stored["skipped"]
    return result


def print_tables(result: Result) -> bool:
    """Prints what was measured; returns whether every target was reached."""
    right = [pair for pair in result.pairs if not pair.known_bad]
    bad = [pair for pair in result.pairs if pair.known_bad]
    models = len({pair.model for pair in result.pairs})
    print(f"\n{len(right)} right pairs of {models} models; {len(bad)} pairs with a known defect of the runtime\n")
    print("| | right pairs: wrong | undecided | doubt, ops asked | known defects: found |")
    print("|---|---|---|---|---|")
    for name, verdict in (("by outputs", "verdict"), ("with the per-op check", "with_ops"), (f"{_FEW} samples", "few")):
        counts = [sum(getattr(p, verdict) == v for p in right) for v in ("wrong", "undecided")]
        doubts = sum(p.doubt for p in right) if verdict != "few" else ""
        caught = f"{sum(getattr(p, verdict) == 'wrong' for p in bad)} of {len(bad)}"
        print(f"| {name} | {counts[0]} | {counts[1]} | {doubts} | {caught} |")
    caught = f"{sum(p.old_wrong for p in bad)} of {len(bad)}"
    print(f"| the rule before | {sum(p.old_wrong for p in right)} | | | {caught} |")
    _print_runtimes(result.pairs)
    if right:
        worst = [
            max((getattr(p, name), p.model, p.runtime, p.kernels) for p in right)
            for name in ("error", "bias", "classes")
        ]
        print("\nthe furthest right pairs: " + "; ".join(f"{n} {w[0]:.2f} ({', '.join(w[1:])})" for n, w in zip(
            ("error in N", "mean difference in N", "answers beyond rounding"), worst, strict=True)))  # fmt: skip
    for pair in right:
        if "wrong" in (pair.verdict, pair.with_ops, pair.few) or pair.ops_wrong:
            print(
                f"  called wrong: {pair.model} on {pair.runtime} {pair.kernels}: {pair.error:.2f} N, ops {pair.ops_wrong}"
            )
    for line in result.skipped:
        print(f"  no reference: {line}")
    reached = not any("wrong" in (p.verdict, p.with_ops) for p in right)
    return _print_defects(result.found) and reached if result.found else reached


def _print_runtimes(pairs: list[Pair]) -> None:
    """One row per release and kind of kernels."""
    print(
        "\n| runtime | kernels | right pairs | wrong | undecided | doubt | wrong by the rule before | known defects: found |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for runtime, kernels in dict.fromkeys((p.runtime, p.kernels) for p in pairs):
        mine = [p for p in pairs if (p.runtime, p.kernels) == (runtime, kernels)]
        right, bad = [p for p in mine if not p.known_bad], [p for p in mine if p.known_bad]
        wrong, undecided = (sum(p.verdict == v for p in right) for v in ("wrong", "undecided"))
        columns = [runtime, kernels, len(right), wrong, undecided, sum(p.doubt for p in right)]
        columns += [sum(p.old_wrong for p in right), f"{sum(p.verdict == 'wrong' for p in bad)} of {len(bad)}"]
        print(f"| {' | '.join(map(str, columns))} |")


def _print_defects(found: list[Found]) -> bool:
    print(f"\n{len(found)} planted defects that change outputs, of {len({f.model for f in found})} integer models\n")
    print(
        "| defect | size | number | by outputs | with ops | ops alone | rule before | harmful | of these by outputs | with ops |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for defect in DEFECTS:
        rows = [f for f in found if f.defect == defect.name]
        if rows:
            print(_row(defect.name, defect.size, rows))
    for size in ("gross", "medium", "small"):
        print(_row(f"all {size}", "", [f for f in found if f.size == size]))
    print(_row("**all**", "", found))
    harm = [f for f in found if f.harmful]
    reached = (
        np.mean([f.outputs for f in found]), np.mean([f.outputs for f in harm]), np.mean([f.with_ops for f in harm]),
    )  # fmt: skip
    return all(share >= target for share, target in zip(reached, TARGETS, strict=True))


def _row(name: str, size: str, rows: list[Found]) -> str:
    harm = [f for f in rows if f.harmful]

    def share(of: list[Found], who: str) -> str:
        return f"{np.mean([getattr(f, who) for f in of]):.2f}" if of else "-"

    columns = [name, size, str(len(rows)), *(share(rows, who) for who in ("outputs", "with_ops", "ops", "old"))]
    columns += [str(len(harm)), share(harm, "outputs"), share(harm, "with_ops")]
    return f"| {' | '.join(columns)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", type=Path, action="append", default=[], help="a folder of .tflite files; repeatable"
    )
    parser.add_argument("--built", action="store_true", help="also the published workloads, built by the harness")
    parser.add_argument(
        "--only", action="append", default=[], help="DESIGN or DESIGN-STYLE; repeatable; `none`: none generated"
    )
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument(
        "--runtimes", nargs="+", default=RUNTIMES, metavar="NAME==VERSION", help="releases that models are run on"
    )
    parser.add_argument("--no-defects", action="store_true", help="right pairs only")
    parser.add_argument(
        "--check-all-ops", action="store_true", help="asks the ops of every pair: are right ops ever wrong?"
    )
    parser.add_argument("--json", type=Path, help="also write every pair and every defect here")
    parser.add_argument(
        "--tables", type=Path, nargs="+", metavar="FILE", help="only prints the tables of files that --json wrote"
    )
    arguments = parser.parse_args()
    if arguments.tables:
        return 0 if print_tables(read_results(arguments.tables)) else 1
    with Runtimes() as runtimes:

        def subjects() -> Iterator[Subject]:
            if arguments.only != ["none"]:
                yield from generated(runtimes.get(FLOAT), samples=arguments.samples, names=tuple(arguments.only))
            if arguments.built:
                from benchmarks.wrong.built import built_subjects

                yield from built_subjects(samples=arguments.samples)
            for folder in arguments.models:
                yield from folder_subjects(folder, samples=arguments.samples)

        result = run_bench(
            subjects(),
            runtimes,
            packages=tuple(arguments.runtimes),
            defects=() if arguments.no_defects else DEFECTS,
            check_all_ops=arguments.check_all_ops,
            say=lambda line: print(line, file=sys.stderr, flush=True),
            keep=lambda done: arguments.json and arguments.json.write_text(json.dumps(asdict(done), indent=1)),
        )
    return 0 if print_tables(result) else 1


if __name__ == "__main__":
    sys.exit(main())
