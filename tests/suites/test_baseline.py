"""`pytest suites/ --baseline NAME`: a cell that got worse fails with the verdict's words."""

import xml.etree.ElementTree as ElementTree

from harness.results.history import History
from harness.results.store import Store
from tests.suites.test_pytest_plugin import suite  # noqa: F401
from tests.support.tiny_model import int8_dense

OPTIONS = ("--device", "host-litert", "--backend", "cpu-ref", "--budget", "1s")


def test_a_cell_that_got_worse_fails_and_says_what(suite, tmp_path):  # noqa: F811
    assert suite(*OPTIONS).returncode == 0
    with Store.open(suite.results) as store:
        History(store).set_baseline("release", "latest")
    assert suite(*OPTIONS, "--baseline", "release").returncode == 0
    model = tmp_path / "tiny.tflite"
    model.write_bytes(model.read_bytes() + bytes(len(int8_dense())))  # the same network in a larger file
    junit = tmp_path / "junit.xml"
    done = suite(*OPTIONS, "--baseline", "release", f"--junitxml={junit}")
    assert done.returncode == 1 and "got worse than release" in done.stdout and "size " in done.stdout, done.stdout
    properties = {p.get("name"): p.get("value") for p in ElementTree.parse(junit).iter("property")}
    assert properties["verdict.size"].startswith("worse: size") and properties["reproduce"].startswith("harness run")
    assert properties["baseline"].startswith("release (")


def test_an_unknown_baseline_is_an_error_of_the_command_line(suite):  # noqa: F811
    assert suite(*OPTIONS).returncode == 0
    done = suite(*OPTIONS, "--baseline", "releas")
    assert done.returncode == 4 and "unknown run 'releas'" in done.stderr + done.stdout
