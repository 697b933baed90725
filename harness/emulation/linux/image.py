"""Images of emulated boards: made once from packages, booted once, saved, kept by content.

    cache_dir()/emulation/images/KEY/   disk.img kernel initrd device-tree state.zst login_key manifest.json

The key covers packages, spec, this recipe and the installed QEMU (a saved state is read only by the QEMU that wrote it). A
folder has its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import paths
from harness.core.errors import MissingPartError, TransientDeviceError, UserInputError
from harness.core.files import sha256_json, write_json_atomic
from harness.emulation.linux import rootfs
from harness.emulation.linux.fdt import set_model
from harness.emulation.linux.initrd import INIT, MODULES, build_initrd
from harness.emulation.linux.keys import new_key_pair, write_private
from harness.emulation.linux.login import Access, run_on_board, wait_for_banner
from harness.emulation.linux.machine import Machine
from harness.emulation.linux.migrate import save_state
from harness.emulation.linux.pins import PackageStore, Pins
from harness.emulation.linux.qemu import ICOUNT, BootFiles, machine_arguments, option_value
from harness.emulation.linux.spec import EmulationSpec
from harness.emulation.tools import RUN_TOOLS, find_tool, require_tools, run_tool
from harness.envs.hostenv import TextProgress

#: raised whenever the layout of an image's folder changes
RECIPE = 2
PYTHON = "/usr/bin/python3"

_MANIFEST, _BUILDING = "manifest.json", ".building-"
_BOOT_S = 90.0
_LOCK_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class BoardImage:
    """A finished image.

    Attributes:
        manifest: what it was made of and how long that took (`seconds` by stage).
        created: True when this call made it.
    """

    key: str
    path: Path
    spec: EmulationSpec
    manifest: dict[str, Any]
    created: bool = False

    @property
    def files(self) -> BootFiles:
        """What QEMU starts from."""
        device_tree = self.path / "device-tree" if self.spec.model else None
        return BootFiles(
            disk=self.path / "disk.img",
            kernel=self.path / "kernel",
            initrd=self.path / "initrd",
            device_tree=device_tree,
        )

    @property
    def state(self) -> Path:
        """The saved state of the booted board."""
        return self.path / "state.zst"

    @property
    def login_key(self) -> Path:
        return self.path / "login_key"

    @property
    def host_key_line(self) -> str:
        """The board's public host key."""
        return self.manifest["host_key"]


def ensure_image(spec: EmulationSpec, *, progress: TextProgress | None = None, refresh: bool = False) -> BoardImage:
    """The image of a board, made now if it is not there yet.

    Args:
        progress: told what is going on, a line at a time.
        refresh: make it anew in any case, of the newest packages.

    Raises:
        MissingPartError: a program or package is not to be had; names it.
        UserInputError: the cache folder cannot be written.
        TransientDeviceError: the board did not come up.
    """
    say = progress or (lambda _line: None)
    require_tools(RUN_TOOLS)
    store = PackageStore(folder=_base())
    if not refresh:
        found = _find(spec, store)
        if found:
            return found
    require_tools()
    try:
        with _lock(say):
            found = None if refresh else _find(spec, store)  # another process may have made it while this one waited
            return found or _build(spec, store, say, refresh)
    except OSError as error:
        hint = "free space or point HARNESS_CACHE_DIR at a folder that can be written"
        what = f"the emulated board cannot be made: {error.strerror or error}"
        raise UserInputError(what, where=str(error.filename or _base()), hint=hint) from error


def list_images() -> list[BoardImage]:
    """Every finished image, by key."""
    images = []
    for path in sorted(_images().glob("*")):
        manifest = _read_manifest(path)
        if manifest and not path.name.startswith("."):
            fields = {k: v for k, v in manifest["spec"].items() if k != "files"}
            images.append(BoardImage(key=path.name, path=path, spec=EmulationSpec(**fields), manifest=manifest))
    return images


def _base() -> Path:
    return paths.cache_dir() / "emulation"


def _images() -> Path:
    return _base() / "images"


def _key(spec: EmulationSpec, pins: Pins) -> str:
    qemu = os.stat(find_tool("qemu-system-aarch64"))
    return sha256_json(
        {
            "recipe": [RECIPE, rootfs.recipe(), INIT, MODULES, ICOUNT if spec.icount else None],
            "spec": spec.identity(),
            "packages": pins.digest,
            "qemu": [qemu.st_size, qemu.st_mtime_ns],
        }
    )[:16]


def _find(spec: EmulationSpec, store: PackageStore) -> BoardImage | None:
    pins = store.read(spec.runtime)
    if pins is None:
        return None
    path = _images() / _key(spec, pins)
    manifest = _read_manifest(path)
    return BoardImage(key=path.name, path=path, spec=spec, manifest=manifest) if manifest else None


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        return manifest if manifest["layout"] == RECIPE else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _lock(say: TextProgress) -> Iterator[None]:
    """One maker at a time: they share apt's folder. The kernel frees the lock when its holder dies."""
    import filelock

    _images().mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(_base() / "build.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say("waiting for another process that is making an emulated board")
        try:
            lock.acquire(timeout=_LOCK_S)
        except filelock.Timeout:
            raise TransientDeviceError("another process has been making an emulated board for too long") from None
    try:
        yield
    finally:
        lock.release()


def _build(spec: EmulationSpec, store: PackageStore, say: TextProgress, refresh: bool) -> BoardImage:
    """Resolves, fetches, assembles, boots, saves. Under the lock."""
    for leftover in _images().glob(f"{_BUILDING}*"):
        shutil.rmtree(leftover)
    clock = _Clock()
    pins = None if refresh else store.read(spec.runtime)
    fresh = pins is None
    pins = pins or store.resolve(spec.runtime, say)
    clock.stage("resolve")
    say("downloading packages")
    try:
        archives = store.apt.fetch((*pins.debs, pins.kernel))
    except MissingPartError:
        if fresh:
            raise
        say("a package is no longer offered")  # the archive keeps only the newest version
        pins = store.resolve(spec.runtime, say)
        archives = store.apt.fetch((*pins.debs, pins.kernel))
    clock.stage("download")
    key = _key(spec, pins)
    final = _images() / key
    building = _images() / f"{_BUILDING}{key}"
    try:
        building.mkdir(mode=0o700)
        manifest = _make(spec, pins, list(archives), store.wheels, building, clock, say)
        write_json_atomic(building / _MANIFEST, manifest)
        shutil.rmtree(final, ignore_errors=True)  # there only where it was to be made anew, or is not whole
        os.replace(building, final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _remove_superseded(spec, key)
    return BoardImage(key=key, path=final, spec=spec, manifest=manifest, created=True)


def _make(
    spec: EmulationSpec, pins: Pins, archives: list[Path], wheels: Path, folder: Path, clock: _Clock, say: TextProgress
) -> dict[str, Any]:
    """Fills `folder` with everything but the manifest, which it returns."""
    from harness.emulation.linux.wheels import unpack_wheels

    image = BoardImage(key=folder.name, path=folder, spec=spec, manifest={})
    tree, kernel_tree = folder / "root", folder / "kernel-package"
    host_key, login_key = new_key_pair(), new_key_pair()
    write_private(image.login_key, login_key.private)
    say("unpacking packages")
    rootfs.unpack_debs(archives[:-1], tree)
    unpack_wheels(pins.wheels, wheels, rootfs.packages_dir(tree))
    os.replace(rootfs.unpack_kernel(archives[-1], kernel_tree), image.files.kernel)
    image.files.initrd.write_bytes(build_initrd(kernel_tree, tree / "usr/bin/busybox"))
    clock.stage("unpack")
    rootfs.configure(tree, spec, host_key=host_key, login_public_line=login_key.public_line)
    if rootfs.can_compile():
        say("compiling the board's Python files")
        rootfs.compile_bytecode(tree)
        clock.stage("compile")
    say("making the disk")
    rootfs.make_disk(tree, image.files.disk, spec.disk_mib)
    device_tree = image.files.device_tree
    if spec.model and device_tree:
        _write_device_tree(spec, spec.model, device_tree, folder)
    for done in (tree, kernel_tree):
        shutil.rmtree(done)
    clock.stage("disk")
    image = BoardImage(key=image.key, path=folder, spec=spec, manifest={"host_key": host_key.public_line})
    facts = _boot_and_save(image, clock, say)
    return {
        "layout": RECIPE,
        "spec": spec.identity(),
        "host_key": host_key.public_line,
        "facts": facts,
        "seconds": clock.seconds,
        "packages": {deb.name: deb.version for deb in (*pins.debs, pins.kernel)},
        "wheels": [wheel.file_name for wheel in pins.wheels],
        "created": time.time(),
    }


def _write_device_tree(spec: EmulationSpec, model: str, path: Path, folder: Path) -> None:
    """QEMU's own device tree for this machine, with the model text of the real board."""
    dump = folder / "dumped.dtb"
    machine, *rest = machine_arguments(spec)[1:]
    option = f"{machine},dumpdtb={option_value(dump)}"
    command = ["qemu-system-aarch64", "-M", option, *rest, "-nodefaults", "-display", "none"]
    run_tool(command, "QEMU wrote no device tree", timeout_s=30)
    path.write_bytes(set_model(dump.read_bytes(), model))
    dump.unlink()


def _boot_and_save(image: BoardImage, clock: _Clock, say: TextProgress) -> dict[str, str]:
    """Boots on the real disk, logs in once so that everything a cell needs has been used, and saves the board."""
    from harness.envs.hostenv import parse_package

    say("booting the board for the first time")
    module = parse_package(image.spec.runtime).module
    machine = Machine(image.spec, image.files, pristine=False)
    try:
        access = Access(port=machine.ssh_port(), key_file=image.login_key, host_key_line=image.host_key_line)
        try:
            wait_for_banner(access.port, _BOOT_S, lambda: machine.alive)
        except TransientDeviceError as error:
            raise machine.explain(f"the new board did not come up: {error.what}") from error
        clock.stage("boot")
        say(f"importing {module} on the board")
        script = (
            f"import json, os, sys, platform, numpy, {module}.interpreter; print(json.dumps(dict("
            "python=platform.python_version(), numpy=numpy.__version__, kernel=platform.release(), machine=platform.machine())))"
        )
        answer = run_on_board(access, f"{PYTHON} -c '{script}' && rm -f {rootfs.CLOCK_MARK} && sync", _BOOT_S)
        if answer.status:
            raise MissingPartError(
                f"{image.spec.runtime} does not import on the emulated board:\n{answer.stderr[-2000:]}"
            )
        facts = json.loads(answer.stdout.splitlines()[-1])
        clock.stage("import")
        say("saving the booted board")
        save_state(machine, image.state)
        machine.quit()
        clock.stage("save")
        return facts
    except BaseException:
        machine.kill()
        raise


def _remove_superseded(spec: EmulationSpec, key: str) -> None:
    """Images of the same board made of older packages. A board that runs on one keeps it until its end."""
    identity = spec.identity()
    for path in _images().glob("*"):
        manifest = _read_manifest(path)
        if manifest and path.name != key and manifest["spec"] == identity:
            shutil.rmtree(path, ignore_errors=True)


class _Clock:
    """Seconds per stage of a build."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def stage(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 3)
        self._last = now
