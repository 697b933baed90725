"""`harness bisect`: what differs between two nights is brought back one by one, and what did it is named."""

import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.core.files import sha256_bytes
from harness.emulation.mcu.firmware import program_of_build
from harness.judge import stored as stored_module
from harness.nightly import bisect as bisect_module
from harness.nightly import kept
from harness.nightly import sessions as sessions_module
from harness.nightly.kept import package_of
from harness.results.history import History
from harness.results.objects import ObjectStore
from harness.results.store import Store
from harness.run import device as device_module
from harness.verdict.bisection import Bisection, Trial
from harness.verdict.differences import Difference, differences
from tests.nightly.test_night import ACCEPTED, lab, latency, other_bytes  # noqa: F401
from tests.support.cells import OUTPUTS
from tests.support.nights import RUNTIME, record

CELL = "w/ptq-float32/host-litert/cpu"
OLD, NEW = "ai-edge-litert 2.2.0", "ai-edge-litert 2.3.0"


@pytest.fixture
def bench(lab, monkeypatch):  # noqa: F811
    """The lab; a board has the runtime that its facts name, or that of a device made by `--runtime`, and takes
    `pace[runtime]` times as long."""
    pace = {}

    def connect(profile, progress):
        board = copy.copy(lab.board)
        if profile.name != "host-litert":
            board.facts = {**board.facts, "runtime": profile.runtime.package.replace("==", " ")}
        board.shift *= pace.get(board.facts["runtime"], 1.0)
        return board

    def bisect(*words):
        found = CliRunner().invoke(
            cli, ["bisect", CELL, *words, "--json", "--results", str(lab.results)], standalone_mode=False
        )
        if found.exception is not None:
            raise found.exception
        return json.loads(found.stdout)

    monkeypatch.setattr(sessions_module, "connect", connect)
    monkeypatch.setattr(device_module, "connect", connect)
    lab.board.facts = {"runtime": NEW}
    lab.bisect, lab.pace = bisect, pace
    return lab


def results(found):
    return {trial["name"]: trial["result"] for trial in found["trials"]}


def test_a_slower_artifact_is_named(bench):
    for _ in range(6):
        bench()
    slower = other_bytes()
    bench.board.factors[slower] = 1.12
    done = bench(slower)
    assert done.exit_code == 3
    (found,) = bench.bisect()
    assert results(found) == {"artifact": "did it"} and found["quantity"] == "latency"
    assert found["conclusion"].startswith("latency: artifact ") and found["conclusion"].endswith(" did it")
    numbers = found["trials"][0]["numbers"]
    assert numbers["change"] == pytest.approx(-0.107, abs=0.02) and numbers["p"] < 0.005
    assert len(numbers["brought_back_ns"]) == len(numbers["tonight_ns"]) == 8
    assert len(done.judgement.open) == 1


def test_a_slower_runtime_is_named_and_the_other_artifact_is_not(bench):
    bench.board.facts = {"runtime": OLD, "agent_sha256": "a" * 64, "firmware": "bsp 1 (0a1b)"}
    for _ in range(6):
        bench()
    bench.board.facts = {"runtime": NEW, "agent_sha256": "b" * 64, "firmware": "bsp 2 (2c3d)"}
    bench.pace[NEW] = 1.2
    done = bench(other_bytes())
    told = latency(done)
    assert done.exit_code == 3 and told.cause == "environment" and "on today's runtime beside" in told.reason
    assert told.numbers["runtime_change"] == pytest.approx(0.2, abs=0.02) and told.numbers["runtime_p"] < 0.005
    (found,) = bench.bisect("--quantity", "latency")
    assert results(found) == {
        "artifact": "not it",
        "runtime": "did it",
        "firmware": "not tried",
        "agent_sha256": "not tried",
    }
    assert found["conclusion"] == f"latency: runtime {OLD} -> {NEW} did it"
    untried = {t["name"]: (t["before"], t["after"], t["words"]) for t in found["trials"] if t["result"] == "not tried"}
    assert untried["agent_sha256"] == ("a" * 12, "b" * 12, "it cannot be brought back from here")
    assert untried["firmware"][:2] == ("bsp 1 (0a1b)", "bsp 2 (2c3d)")


@pytest.mark.parametrize("data", [ACCEPTED, other_bytes()], ids=["same bytes", "other bytes"])
def test_a_noisy_night_is_not_held_against_its_new_runtime(bench, data):
    bench.board.facts = {"runtime": OLD}
    for _ in range(6):
        bench()
    bench.board.facts, bench.board.shift = {"runtime": NEW}, 1.1
    done = bench(data)
    told = latency(done)
    assert done.exit_code == 0 and told.cause == "board" and not told.open and "not the runtime" in told.reason


def test_what_only_shows_together_is_told_together(bench):
    bench.board.facts = {"runtime": OLD}
    for _ in range(6):
        bench()
    bench.board.facts = {"runtime": NEW}
    slower = other_bytes()
    bench.board.factors[slower] = bench.board.shift = 1.5
    assert bench(slower).exit_code == 3
    # Either alone is as slow as both: only both old ones are fast.
    bench.board.factors.clear()
    real = sessions_module.BoardSessions.time

    def time(self, model, backend):
        both_old = model.artifact.path.read_bytes() != slower and self.profile.name != "host-litert"
        return real(self, model, backend) + (0.0 if both_old else np.log(1.5))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions_module.BoardSessions, "time", time)
        (found,) = bench.bisect("--quantity", "latency")
    assert results(found) == {"artifact": "part of it", "runtime": "part of it"}
    assert "it took these together: artifact" in found["conclusion"]


def test_what_does_not_show_any_more_is_said(bench):
    for _ in range(6):
        bench()
    slower = other_bytes()
    bench.board.factors[slower] = 1.12
    assert bench(slower).exit_code == 3
    bench.board.factors.clear()
    (found,) = bench.bisect()
    assert results(found) == {"artifact": "not it"} and "does not show now" in found["notes"][0]
    assert "what is left is the board or its surroundings" in found["conclusion"]


def test_a_lost_score_is_bisected_by_whole_cells(bench):
    worse = other_bytes()
    bench.board.answers[worse] = np.roll(OUTPUTS, 1, axis=1)
    bench()
    assert bench(worse).exit_code == 3
    found = {one["quantity"]: one for one in bench.bisect()}
    assert results(found["score"]) == {"artifact": "did it"} and results(found["outcome"]) == {"artifact": "did it"}
    assert "exact McNemar" in found["score"]["trials"][0]["words"]


def test_an_artifact_that_is_not_kept_is_not_tried(bench):
    for _ in range(6):
        bench()
    slower = other_bytes()
    bench.board.factors[slower] = 1.12
    bench(slower)
    with Store.open(bench.results, create=False) as store:
        ObjectStore(bench.results).path(store.cells(run="r01")[0].artifact_object).unlink()
    (found,) = bench.bisect()
    assert results(found) == {"artifact": "not tried"} and "not kept any more" in found["trials"][0]["words"]
    assert "nothing that differs could be brought back; not tried: artifact" in found["conclusion"]


def test_nothing_open_and_wrong_nights_are_said(bench):
    bench()
    bench()
    with pytest.raises(UserInputError, match="nothing of .* is open in run r02.*--quantity latency --good RUN"):
        bench.bisect()
    with pytest.raises(UserInputError, match="unknown quantity 'latenzy'.*latency"):
        bench.bisect("--quantity", "latenzy", "--good", "r01")
    with pytest.raises(UserInputError, match="run r02 cannot be both nights"):
        bench.bisect("--quantity", "latency", "--good", "r02")
    with pytest.raises(UserInputError, match="unknown run"):
        bench.bisect("--quantity", "latency", "--good", "r09")
    with pytest.raises(UserInputError, match="'load' cannot be bisected"):
        bench.bisect("--quantity", "load", "--good", "r01")
    (found,) = bench.bisect("--quantity", "latency", "--good", "r01")
    assert found["trials"] == [] and "nothing that is recorded differs" in found["conclusion"]


def test_a_firmware_is_named_by_both_hashes_and_can_be_had_again(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    programs = {"0" * 16: b"\x7fELF one", "1" * 16: b"\x7fELF two"}
    for build, data in programs.items():
        elf = tmp_path / "cache" / "firmware" / f"m4-{build}" / "firmware.elf"
        elf.parent.mkdir(parents=True)
        elf.write_bytes(data)
    hashes = [sha256_bytes(data) for data in programs.values()]
    for build, sha256 in zip(programs, hashes, strict=True):
        bench.board.facts = {
            "runtime": NEW,
            "board_model": "m4",
            "firmware": f"{build}, gcc 12.2",
            "firmware_sha256": sha256,
        }
        bench()
    (found,) = bench.bisect("--quantity", "outcome", "--good", "r01")
    (firmware,) = found["trials"]
    assert firmware["name"] == "firmware" and firmware["result"] == "not tried"
    assert firmware["detail"] == f"program {hashes[0][:12]} -> {hashes[1][:12]}"
    assert f"both are kept: `harness results get {hashes[0][:12]}` and" in firmware["words"]
    target = tmp_path / "old.elf"
    words = ["results", "get", hashes[0][:12], "--output", str(target), "--results", str(bench.results)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None and hashes[0] in done.stdout and target.read_bytes() == programs["0" * 16]
    with pytest.raises(UserInputError, match="files that are kept begin with"):
        raise CliRunner().invoke(cli, [*words[:2], "", *words[3:]], standalone_mode=False).exception
    with pytest.raises(UserInputError, match="no file that is kept begins with feed"):
        raise CliRunner().invoke(cli, [*words[:2], "feed", *words[3:]], standalone_mode=False).exception


def test_a_firmware_that_says_odd_names_leads_to_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    (tmp_path / "firmware.elf").write_bytes(b"x")
    assert program_of_build("..", "0" * 16) is None and program_of_build("m4", "../" * 5 + "0") is None
    assert program_of_build("", "") is None


def test_a_recipe_that_was_changed_is_told_from_the_model(bench, monkeypatch):
    """The float model is as it was; the recipe of that name makes a slower artifact of it."""
    slower = other_bytes()
    defined = {
        ACCEPTED: {"recipe": {"conversion": {"per_channel": True}}},
        slower: {"recipe": {"conversion": {"per_channel": False}}},
    }
    asked = []

    def rebuilt(good, bad, objects, options, *, say):
        asked.append((good.run, bad.run))
        if not bench.can_build:
            raise UserInputError("it was built with tensorflow 2.20.0 (here 2.21.0)")
        return replace(kept.kept_model(bench.history, good, bench.folder), recipe=bad.key.recipe)

    monkeypatch.setattr(stored_module, "definition_of", lambda artifact: defined[artifact.path.read_bytes()])
    monkeypatch.setattr(bisect_module, "rebuilt_model", rebuilt)
    for _ in range(6):
        bench()
    bench.board.factors[slower] = 1.12
    assert bench(slower).exit_code == 3
    with Store.open(bench.results, create=False) as store, tempfile.TemporaryDirectory() as folder:
        bench.history, bench.folder, bench.can_build = History(store), Path(folder), True
        (found,) = bench.bisect()
        assert results(found) == {"artifact": "did it", "recipe": "did it"} and asked == [("r01", "r07")]
        assert found["trials"][1]["detail"] == "conversion.per_channel yes -> no"
        assert found["conclusion"].endswith("did it: it makes another artifact of the same float model")
        bench.can_build = False
        (found,) = bench.bisect()
        assert results(found) == {"artifact": "did it", "recipe": "not tried"}
        assert "built with tensorflow 2.20.0" in found["trials"][1]["words"]


def test_differences_are_told_apart_with_what_the_artifact_was_made_of():
    before = record(model_sha256="c" * 64, fingerprint=replace(RUNTIME, agent_sha256="1" * 64))
    after = replace(
        before,
        artifact_sha256="b" * 64,
        fingerprint=replace(RUNTIME, agent_sha256="2" * 64, runtime="ai_edge_litert 2.4.0", governor="powersave"),
    )
    found = {d.name: d for d in differences(before, after)}
    assert list(found) == ["artifact", "runtime", "agent_sha256"]
    assert (
        "of the same float model" in found["artifact"].detail and "recipe or its converter" in found["artifact"].detail
    )
    other = differences(before, replace(after, model_sha256="d" * 64))[0]
    assert f"of another float model ({'c' * 12} -> {'d' * 12})" in other.detail
    assert differences(before, before) == []


def test_packages_of_runtimes():
    assert package_of("ai_edge_litert 2.3.0") == package_of("ai-edge-litert 2.3.0") == "ai-edge-litert==2.3.0"
    assert package_of("plan (cortex-m4)") is None and package_of(None) is None


def test_a_conclusion_names_all_that_did_it_alone():
    trials = [
        Trial(difference=Difference(name=name, title=name, before="a", after="b"), result="did it", words="")
        for name in ("artifact", "runtime")
    ]
    cell = record().key
    found = Bisection(key=cell, quantity="latency", good="n1", bad="n2", trials=trials)
    assert found.conclusion == "latency: each of these alone did it: artifact a -> b, runtime a -> b"
    assert found.lines()[-1] == found.conclusion and len(found.lines()) == 4
