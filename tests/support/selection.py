"""Which tests are slow, and in which order files go to the processes that run them; both computed here, for all of them.

`./bench test --fast` leaves out what is marked `slow`: by hand where one test of a fast file is, and here by what a test
uses (a fixture that trains networks, starts a machine or builds for minutes) or by the file it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import pytest

#: fixtures whose users are slow: what they need
SLOW_FIXTURES = {
    "audit_models": "TensorFlow",
    "built": "TensorFlow",
    "keras3_builds": "TensorFlow",
    "kind_models": "TensorFlow",
    "keras3_models": "TensorFlow",
    "keras2_copies": "TensorFlow",
    "keras2_inputs": "TensorFlow",
    "keras3_inputs": "TensorFlow",
    "built_others": "TensorFlow",
    "figures": "TensorFlow",
    "board_image": "an emulated board",
    "breakable": "a database server",
    "counting_board_image": "an emulated board",
    "emulated_board": "an emulated board",
    "mcu_run": "an emulated core",
    "micro_runtime": "an environment with TensorFlow Lite Micro",
    "aarch64_standin": "a cross compiler",
    "sanitized_standin": "a sanitized build",
    "server": "a database server",
    "vela_env": "an environment with Vela",
    "verdicts": "an environment for each known runtime",
    "wheel": "the wheel",
}
#: files in which every test is slow, under tests/: why
SLOW_FILES = {
    "variants/test_around.py": "TensorFlow",
    "variants/test_flat.py": "TensorFlow",
    "variants/test_simulated.py": "TensorFlow",
    "studies/test_study_runs.py": "whole runs",
    "api/test_pages.py": "whole runs",
    "variants/test_qat.py": "TensorFlow",
    "variants/test_quantizers.py": "TensorFlow",
    "emulation/test_[!e]*.py": "QEMU, cross compilers",
    "emulation/test_emulation_[bl]*.py": "an emulated board",
    "boards/mcu/test_mcu_board*.py": "emulated cores",
    "boards/mcu/test_mcu_flash.py": "emulated cores",
    "boards/mcu/test_mcu_layers.py": "emulated cores",
    "boards/mcu/test_mcu_host.py": "the firmware, compiled and sanitized",
    "boards/mcu/test_mcu_run.py": "emulated cores",
    "boards/mcu/test_mcu_start.py": "emulated cores",
    "boards/mcu/test_mcu_suite.py": "emulated cores",
    "boards/mcu/test_pyocd.py": "emulated cores, a debugger",
    "boards/mlperf_tiny/test_mlperf_tiny.py": "boards whose deadlines pass",
    "boards/test_plugins.py": "packages are installed, whole cells",
    "boards/linux/test_board_faults.py": "boards whose deadlines pass",
    "boards/linux/test_fork_server.py": "whole cells, boards whose deadlines pass",
    "boards/linux/test_graph_cache.py": "whole cells",
    "boards/linux/test_vendor_benchmark.py": "whole cells",
    "cli/test_firmware_cli.py": "cross compilers",
    "cli/test_judge_cli.py": "whole runs",
    "core/test_selection.py": "runs of pytest",
    "devices/test_fast_kernels.py": "emulated cores",
    "devices/test_kernels_reference.py": "thousands of one-op models",
    "devices/test_kernels_safety.py": "sanitized builds",
    "devices/test_npu_*.py": "whole cells",
    "envs/test_hostenv.py": "environments are made",
    "export/test_mcu_export.py": "emulated cores, cross compilers",
    "nightly/test_[bnr]*.py": "whole nights",
    "reports/page/test_page_browser.py": "a browser",
    "suites/test_baseline.py": "whole runs",
    "measure/test_bench_wrong.py": "planted defects in whole networks",
    "measure/test_rescaled.py": "thousands of scores",
    "run/test_checks.py": "whole runs",
    "run/test_question.py": "whole runs",
    "suites/test_guide.py": "whole runs",
    "verdict/test_bench_verdict.py": "nights by the hundred",
    "suites/test_parallel.py": "whole runs",
    "suites/test_project_suite.py": "whole runs",
    "suites/test_pytest_plugin*.py": "whole runs",
    "tflite/plan/test_plan_cost.py": "emulated cores",
    "tflite/plan/test_plan_reference.py": "random networks on two runtimes",
    "tflite/plan/test_plan_safety.py": "sanitized builds, fuzzing",
    "variants/test_build_faults.py": "workers whose deadlines pass",
    "explaining/test_explain.py": "whole explanations on devices",
    "results/test_exchange.py": "whole stores",
    "run/test_energy.py": "loops under an instrument",
    "studies/test_enough.py": "thousands of scores",
    "export/test_linux_export.py": "whole cells",
    "run/test_several_outputs.py": "whole cells",
    "run/test_detection.py": "whole cells",
    "tune/test_candidates.py": "searches by the hundred",
    "init/test_init.py": "TensorFlow",
    "init/test_several_inputs.py": "whole cells",
    "measure/test_endless.py": "models whose deadlines pass",
    "cli/test_report_cli.py": "whole exports",
}
#: the files that take longest, longest first: started last, one of them would keep the others' processes waiting
LONGEST_FILES = (
    "emulation/test_twin_suite.py",
    "boards/mcu/test_mcu_suite.py",
    "emulation/test_twin_faults.py",
    "workloads/test_workloads.py",
    "emulation/test_emulation_board.py",
    "variants/test_build.py",
    "variants/test_audit_qat.py",
    "suites/test_pytest_plugin.py",
    "emulation/test_twin.py",
    "workloads/test_user_workload.py",
    "variants/test_keras3_builds.py",
    "tune/test_tune.py",
    "workloads/metrics/test_one_file.py",
    "boards/mcu/test_mcu_flash.py",
)


def file_of(item: pytest.Item) -> str:
    """The test's file, under tests/."""
    return item.nodeid.partition("::")[0].removeprefix("tests/")


def is_slow(item: pytest.Item) -> bool:
    """True when a test is marked by hand, uses a slow fixture, or stands in a slow file."""
    if item.get_closest_marker("slow") is not None:
        return True
    used = SLOW_FIXTURES.keys() & getattr(item, "fixturenames", ())
    return bool(used) or any(fnmatchcase(file_of(item), pattern) for pattern in SLOW_FILES)


def mark_slow(items: Iterable[pytest.Item]) -> None:
    """Marks what is slow, so that `-m 'not slow'` leaves it out."""
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which several processes should take their files: the longest, other slow ones, the rest."""
    slow_files = {file_of(item) for item in items if item.get_closest_marker("slow") is not None}

    def rank(item: pytest.Item) -> int:
        name = file_of(item)
        if name in LONGEST_FILES:
            return LONGEST_FILES.index(name)
        return len(LONGEST_FILES) + (name not in slow_files)

    return sorted(items, key=rank)  # stable: within a file, and among files of one rank, as collected
