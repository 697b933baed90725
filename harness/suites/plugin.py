"""The pytest plugin: `pytest suites/ --device NAME` runs one test per cell, into the same store as `harness run`.

Loaded by every pytest in the environment, so nothing heavy is imported before a suite is really collected.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.prepare.prepared import Say
    from harness.results.record import CellRecord
    from harness.suites.baseline import Baseline
    from harness.suites.parallel import Share, SharedRun
    from harness.suites.session import SuiteCell, SuiteSession

#: the run that cells are compared with
_BASELINE: pytest.StashKey[Baseline] = pytest.StashKey()
#: of a test: what got worse since, in words
_WORSE: pytest.StashKey[str] = pytest.StashKey()
_SESSION: pytest.StashKey[SuiteSession] = pytest.StashKey()
#: of the process that hands tests out to others (pytest-xdist): the run that they all share
_SHARED_RUN: pytest.StashKey[SharedRun] = pytest.StashKey()
#: of a test: its device or link failed, and says nothing of the cell
_DEVICE_FAILED = pytest.StashKey[bool]()
#: the same of a report, also of one that came from another process
_REPORT_MARK = "harness_device_failed"
#: of the session: whether tests failed for such a reason, and for any other
_DEVICE_FAILURES = pytest.StashKey[bool]()
_OTHER_FAILURES = pytest.StashKey[bool]()
_USAGE_ERROR = pytest.StashKey[str]()
#: the project file that holds where pytest was called, and what is wrong with it
_PROJECT = pytest.StashKey[Path | None]()
_PROJECT_ERROR = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "hardware-in-the-loop benchmark harness")
    group.addoption(
        "--device", action="append", default=[], metavar="NAME", help="device profile to run suites on (repeatable)"
    )
    group.addoption(
        "--workload", action="append", default=[], metavar="NAME", help="only suites of this workload (repeatable)"
    )
    group.addoption(
        "--recipe", action="append", default=[], metavar="NAME", help="recipes instead of the suites' own (repeatable)"
    )
    group.addoption("--backend", action="append", default=[], metavar="NAME", help="only these backends (repeatable)")
    group.addoption(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME==VERSION",
        help="release of a runtime in place of the devices' own (repeatable)",
    )
    group.addoption("--emulated", action="store_true", help="run on the devices' emulated twins")
    group.addoption("--samples", metavar="N|all", help="samples per cell")
    group.addoption("--budget", metavar="8m", help="time for all cells: shrinks samples, never cells")
    group.addoption("--data-dir", metavar="DIR", help="folder with datasets ($HARNESS_DATA_DIR)")
    group.addoption("--devices-dir", metavar="DIR", help="folder with device profiles, searched first")
    group.addoption(
        "--baseline",
        metavar="NAME",
        help="a run, or a name of `harness baseline`: cells that got worse since then fail",
    )
    group.addoption("--no-project", action="store_true", help="leave harness.toml aside")
    group.addoption("--results", metavar="DIR", help="where runs land ($HARNESS_RESULTS_DIR, ./results)")
    group.addoption("--store", metavar="URL", help="records in a shared PostgreSQL database ($HARNESS_STORE)")
    group.addoption("--objects", metavar="DIR", help="outputs, samples and models in this folder ($HARNESS_OBJECTS)")


def pytest_configure(config: pytest.Config) -> None:
    _choose_place(config)
    _take_project(config)
    config.addinivalue_line(
        "markers", "cell(expectation): a cell of a suite, with its expected outcome if there is one"
    )


def _choose_place(config: pytest.Config) -> None:
    """Takes `--store` and `--objects` for this process and the workers that it starts.

    Raises:
        pytest.UsageError: no URL of a database, or one with a password.
    """
    url, objects = config.getoption("--store"), config.getoption("--objects")
    if url or objects:
        from harness.core.errors import HarnessError
        from harness.results.place import choose_objects, choose_store

        try:
            if url:
                choose_store(url)
            if objects:
                choose_objects(objects)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from None


def _take_project(config: pytest.Config) -> None:
    """Takes what the project file says; one that is wrong is told where its suites are collected, and nowhere else."""
    from harness.project.project import project_path

    if config.getoption("--no-project") or project_path(config.invocation_params.dir) is None:
        return
    from harness.core.errors import HarnessError
    from harness.suites.project import fill_options

    try:
        config.stash[_PROJECT] = fill_options(config)
    except HarnessError as error:
        config.stash[_PROJECT_ERROR] = str(error)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The project that holds is a suite, if it names a device or the command line does."""
    config = parent.config
    if file_path.name != "harness.toml" or config.getoption("--no-project"):
        return None
    if _PROJECT_ERROR in config.stash:
        from harness.suites.project import BrokenProject

        return BrokenProject.from_parent(parent, path=file_path)
    if config.stash.get(_PROJECT, None) != file_path or not config.option.device:
        return None
    from harness.suites.project import ProjectSuite

    return ProjectSuite.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per cell of the module's SUITE."""
    suite = getattr(metafunc.module, "SUITE", None)
    if "cell" not in metafunc.fixturenames or suite is None:
        return
    from harness.core.errors import HarnessError, UserInputError
    from harness.suites.session import SuiteSession

    config = metafunc.config
    try:
        if _PROJECT_ERROR in config.stash:
            raise UserInputError(config.stash[_PROJECT_ERROR])
        if config.stash.get(_SESSION, None) is None:
            config.stash[_SESSION] = SuiteSession(config.option, say=_teller(config), share=_share_of(config))
        _load_baseline(config)
        cells = config.stash[_SESSION].cells_of(suite, Path(metafunc.module.__file__).parent)
    except HarnessError as error:
        # Raised while collecting, this would be an error of every suite; it is one of the command line (see below).
        config.stash[_USAGE_ERROR] = str(error)
        cells = []
    metafunc.parametrize(
        "cell", [pytest.param(c, id=c.key.text + c.seed_suffix, marks=_marks(c)) for c in cells], indirect=True
    )


def _load_baseline(config: pytest.Config) -> None:
    """Reads the baseline's run, once.

    Raises:
        UserInputError: there is none of this name.
    """
    name = config.getoption("--baseline")
    if name is None or _BASELINE in config.stash:
        return
    from harness.suites.baseline import Baseline

    config.stash[_BASELINE] = Baseline.of(name, config.stash[_SESSION].results)


def _share_of(config: pytest.Config) -> Share | None:
    """In a worker of pytest-xdist: what its controller says of the run that all workers share."""
    from harness.suites.parallel import Share

    return Share.of(getattr(config, "workerinput", {}))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of pytest-xdist, for each worker, also one that takes a crashed one's place: names the one run."""
    from harness.core.errors import HarnessError
    from harness.suites.parallel import SharedRun

    option, stash = node.config.option, node.config.stash
    if not option.device:
        return
    try:
        shared = stash.get(_SHARED_RUN, None) or SharedRun.begin(option.results)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    stash[_SHARED_RUN] = shared
    node.workerinput["harness_run"] = shared.run


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out the cells of one board to one worker; without a device, tests go round as pytest-xdist does it."""
    if not config.option.device:
        return None
    from harness.suites.parallel import scheduler

    return scheduler(config, log)


def _teller(config: pytest.Config) -> Say:
    """Tells in the terminal, a line per tenth, how far the preparation before the first cell is."""
    told: dict[str, int] = {}

    def say(what: str, done: int, total: int) -> None:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        tenth = 10 * done // max(1, total)
        if reporter is not None and told.get(what) != tenth:
            told[what] = tenth
            reporter.ensure_newline()
            reporter.write_line(f"harness: {what}: {done} of {total}")

    return say


def _marks(cell: SuiteCell) -> list[pytest.MarkDecorator]:
    """A strict xfail for an expected outcome: if the surprise is that it works, the test fails and says so."""
    from harness.suites.suite import EXPECTED_ERRORS

    if cell.expectation is None:
        return []
    expected = cell.expectation
    return [
        pytest.mark.xfail(
            strict=True,
            raises=EXPECTED_ERRORS[expected.outcome],
            reason=f"expected {expected.outcome}: {expected.reason}",
        )
    ]


def _cell_of(item: pytest.Item) -> SuiteCell | None:
    """The planned cell of a test; None for any other test, and for a suite that the options left without cells."""
    called = getattr(item, "callspec", None)
    planned = called.params.get("cell") if called else None
    return planned if hasattr(planned, "key") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A suite that `--workload` leaves out has no cells: it is deselected, not skipped."""
    if config.stash.get(_USAGE_ERROR, None):
        raise pytest.UsageError(config.stash[_USAGE_ERROR])
    if config.stash.get(_SESSION, None) is None:
        return
    empty = [
        i
        for i in items
        if "cell" in getattr(i, "fixturenames", ())
        and hasattr(getattr(i, "module", None), "SUITE")
        and _cell_of(i) is None
    ]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [i for i in items if i not in empty]


def pytest_collection_finish(session: pytest.Session) -> None:
    """After deselection: what is left is what the run plans."""
    suite_session = session.config.stash.get(_SESSION, None)
    if suite_session is not None and not session.config.option.collectonly:
        suite_session.plan([cell for cell in map(_cell_of, session.items) if cell is not None])


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> SuiteCell:
    """The finished cell of this test: `cell.record` holds every figure, `cell.check()` asserts what the suite promises.

    A cell whose device or link failed is an error of the test's set-up, because it says nothing of the cell.
    """
    from harness.core.errors import HarnessError

    planned: SuiteCell = request.param
    try:
        record = request.config.stash[_SESSION].run(planned)
    except HarnessError as error:
        pytest.fail(str(error), pytrace=False)
    for name, value in _properties(record).items():
        request.node.user_properties.append((name, value))
    if record.outcome == "failed":
        request.node.stash[_DEVICE_FAILED] = True
        pytest.fail(f"{record.key.text_with_seed} failed: {record.reason}", pytrace=False)
    _compare(request, record)
    return planned


def _compare(request: pytest.FixtureRequest, record: CellRecord) -> None:
    """Notes what became of a cell since the baseline; a cell that got worse fails after its own test has passed."""
    baseline = request.config.stash.get(_BASELINE, None)
    if baseline is None:
        return
    verdicts = baseline.verdicts(record)
    request.node.user_properties.extend(baseline.properties(verdicts).items())
    if words := baseline.failure(verdicts):
        request.node.stash[_WORSE] = words


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fails a test that passed, of a cell that got worse."""
    result = yield
    if words := pyfuncitem.stash.get(_WORSE, None):
        pytest.fail(words, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Marks a failure that is the device's; the mark travels with the report."""
    report = yield
    if report.failed and report.when == "setup" and item.stash.get(_DEVICE_FAILED, False):
        setattr(report, _REPORT_MARK, True)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None, None, None]:
    """Makes the reports of this session, also those from other processes, known to the exit code."""
    session.config.pluginmanager.register(_Failures(session), "harness-failures")
    return (yield)


class _Failures:
    """Notes whose fault the failures of a session are: the exit code depends on it."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            of_device = getattr(report, _REPORT_MARK, False)
            self._session.stash[_DEVICE_FAILURES if of_device else _OTHER_FAILURES] = True


def _properties(record: CellRecord) -> dict[str, object]:
    """The cell's figures as JUnit properties; what does not apply is left out."""
    from harness.reports.jsonout import cell_json

    flat = cell_json(record)
    return {
        k: v for k, v in flat.items() if v is not None and isinstance(v, (str, int, float, bool)) and k != "board_log"
    }


def pytest_terminal_summary(terminalreporter: Any) -> None:
    stash = terminalreporter.config.stash
    summary = next((one.summary for key in (_SHARED_RUN, _SESSION) if (one := stash.get(key, None))), "")
    if summary:
        terminalreporter.section("harness")
        terminalreporter.write_line(summary)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Gives the boards back and exports the run: in the process that has it, and after all that share it."""
    stash, interrupted = session.config.stash, exitstatus == pytest.ExitCode.INTERRUPTED
    suite_session, shared = stash.get(_SESSION, None), stash.get(_SHARED_RUN, None)
    if suite_session is not None:
        suite_session.finish(interrupted=interrupted)
    if shared is not None:
        shared.finish(session.config.option.results, interrupted=interrupted)
    only_devices = session.stash.get(_DEVICE_FAILURES, False) and not session.stash.get(_OTHER_FAILURES, False)
    if exitstatus == pytest.ExitCode.TESTS_FAILED and only_devices:
        from harness.core.errors import PYTEST_DEVICE_FAILED

        session.exitstatus = PYTEST_DEVICE_FAILED
