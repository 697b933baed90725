"""The build cache: whole entries or none, leases, quota, leftovers of the dead. No TensorFlow."""

import json
import os
import subprocess
import sys
import time

import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.variants.build import cache as cache_module
from harness.variants.build.cache import BuildCache, parse_size, quota_bytes

KEY = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def cache(tmp_path):
    with BuildCache(tmp_path / "cache") as opened:
        yield opened


def add(cache, key, size=100, kind="artifact", used_s_ago=0.0, **manifest):
    folder = cache.temporary_folder()
    (folder / "model.tflite").write_bytes(os.urandom(size))
    cache.publish(kind, key, folder, manifest)
    when = time.time() - used_s_ago
    os.utime(cache.folder(kind, key) / "manifest.json", (when, when))


def test_a_published_entry_is_found_with_its_manifest(cache):
    add(cache, KEY, recipe="ptq-int8")
    manifest = cache.find("artifact", KEY)
    assert manifest["recipe"] == "ptq-int8" and manifest["key"] == KEY
    assert manifest["files"]["model.tflite"]["size_bytes"] == 100


def test_an_entry_lies_where_its_key_says(cache):
    add(cache, KEY)
    assert (cache.root / "artifacts" / "ab" / KEY / "model.tflite").is_file()


def test_nothing_is_found_under_an_unknown_key(cache):
    assert cache.find("artifact", KEY) is None


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone", "manifest cut", "manifest empty"])
def test_a_damaged_entry_counts_as_absent_and_is_replaced(cache, damage):
    add(cache, KEY)
    model, manifest = (cache.folder("artifact", KEY) / name for name in ("model.tflite", "manifest.json"))
    if damage == "truncated":
        model.write_bytes(model.read_bytes()[:50])
    elif damage == "changed":
        model.write_bytes(bytes(100))
    elif damage == "gone":
        model.unlink()
    else:
        manifest.write_text(manifest.read_text()[:30] if damage == "manifest cut" else "")
    assert cache.find("artifact", KEY) is None
    add(cache, KEY, size=7)
    assert cache.find("artifact", KEY)["files"]["model.tflite"]["size_bytes"] == 7


def test_a_lock_is_held_by_one_at_a_time(cache):
    held = cache.lock(KEY)
    with BuildCache(cache.root) as other:
        assert other.lock(KEY) is None
        held.release()
        assert other.lock(KEY) is not None


def test_a_lock_ends_with_its_process(cache):
    code = (
        "import os, sys, pathlib; from harness.variants.build.cache import BuildCache; "
        "BuildCache(pathlib.Path(sys.argv[1])).lock(sys.argv[2]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.root), KEY], check=False)
    assert cache.lock(KEY) is not None


def test_the_longest_unused_go_first_until_the_quota_fits(cache):
    for age, key in enumerate(["11" * 32, "22" * 32, "33" * 32]):
        add(cache, key, size=10_000, used_s_ago=1000 - age)
    total = cache.shrink(1 << 40).kept_bytes
    report = cache.shrink(total - 1)
    assert (report.removed_artifacts, cache.find("artifact", "11" * 32)) == (1, None)
    assert cache.find("artifact", "22" * 32) and cache.find("artifact", "33" * 32)


def test_being_found_counts_as_use(cache):
    add(cache, KEY, size=10_000, used_s_ago=1000)
    add(cache, OTHER, size=10_000, used_s_ago=500)
    cache.find("artifact", KEY)
    cache.shrink(15_000)
    assert cache.find("artifact", KEY) and cache.find("artifact", OTHER) is None


def test_what_a_living_process_uses_is_never_removed(cache):
    add(cache, KEY)
    add(cache, OTHER, kind="training")
    with BuildCache(cache.root) as user:
        user.use([KEY])
        report = cache.shrink(0)
    assert (report.removed_artifacts, report.removed_trainings, report.kept_in_use) == (0, 1, 1)
    assert cache.find("artifact", KEY)


def test_what_a_dead_process_used_is_free_again(cache):
    add(cache, KEY)
    code = (
        "import os, sys, pathlib; from harness.variants.build.cache import BuildCache; "
        "BuildCache(pathlib.Path(sys.argv[1])).use([sys.argv[2]]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.root), KEY], check=False)
    assert any((cache.root / "build" / "leases").glob("*.keys"))
    assert cache.shrink(0).removed_artifacts == 1


def test_leftovers_of_a_killed_build_are_removed_and_those_of_a_living_one_stay(cache):
    code = (
        "import os, sys, pathlib; from harness.variants.build.cache import BuildCache; "
        "f = BuildCache(pathlib.Path(sys.argv[1])).temporary_folder(); (f / 'half').write_bytes(bytes(1234)); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.root)], check=False)
    mine = cache.temporary_folder()
    assert len(list((cache.root / "build" / "tmp").iterdir())) == 2
    assert cache.remove_leftovers() == 1234
    assert list((cache.root / "build" / "tmp").iterdir()) == [mine]


def test_an_entry_of_a_killed_publish_is_not_there(cache, monkeypatch):
    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module, "_sync", killed)
    with pytest.raises(KeyboardInterrupt):
        add(cache, KEY)
    assert cache.find("artifact", KEY) is None and not cache.folder("artifact", KEY).exists()


def test_the_newest_artifact_of_a_request_is_remembered(cache):
    cache.index("ef" * 32, KEY)
    cache.index("ef" * 32, OTHER)
    assert cache.newest("ef" * 32) == OTHER
    assert cache.newest("00" * 32) is None


def test_a_cache_that_cannot_be_written_is_still_read(cache, monkeypatch):
    add(cache, KEY)

    def no_lease(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache_module.leases, "Lease", no_lease)
    reader = BuildCache(cache.root)
    reader.use([KEY])
    assert reader.find("artifact", KEY)


@pytest.mark.parametrize(
    "text, size",
    [
        ("0", 0),
        ("512", 512),
        ("2k", 2048),
        ("1.5M", 3 << 19),
        ("2G", 2 << 30),
        ("1GiB", 1 << 30),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "many", "2X", "nan", "inf"])
def test_what_is_no_size(text):
    with pytest.raises(UserInputError):
        parse_size(text)


def test_the_quota_comes_from_option_then_environment(monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_QUOTA", "3M")
    assert (quota_bytes("1M"), quota_bytes()) == (1 << 20, 3 << 20)
    monkeypatch.delenv("HARNESS_CACHE_QUOTA")
    assert quota_bytes() == cache_module.DEFAULT_QUOTA_BYTES


def test_manifests_are_plain_json(cache):
    add(cache, KEY, nested={"a": [1, None, "x"]})
    stored = json.loads((cache.folder("artifact", KEY) / "manifest.json").read_text())
    assert stored["nested"] == {"a": [1, None, "x"]}


def test_a_cache_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = BuildCache(tmp_path / "file" / "cache")
    cache.use([KEY])
    assert cache.find("artifact", KEY) is None
    for write in (cache.temporary_folder, cache.remove_leftovers, lambda: cache.lock(KEY), lambda: cache.shrink(0)):
        with pytest.raises(HarnessError, match="cannot be written") as caught:
            write()
        assert "HARNESS_CACHE_DIR" in caught.value.hint


def test_lock_files_do_not_pile_up(cache):
    held, free = cache.lock(KEY), cache.lock(OTHER)
    free.release()
    cache.remove_leftovers()
    assert [path.stem for path in (cache.root / "build" / "locks").iterdir()] == [KEY]
    held.release()
