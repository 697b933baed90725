"""The parts that make emulated boards, each by itself."""

import struct

import pytest

from harness.core.errors import MissingPartError, UserInputError
from harness.emulation import tools
from harness.emulation.linux import debs, image, rootfs
from harness.emulation.linux.debs import board_sources
from harness.emulation.linux.fdt import DeviceTreeError, set_model
from harness.emulation.linux.image import ensure_image
from harness.emulation.linux.initrd import cpio_newc
from harness.emulation.linux.pins import PackageStore
from harness.emulation.linux.spec import BoardFile, EmulationSpec, parse_block

_DEB822 = """# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: {0} {0}-updates {0}-backports
Components: main contrib
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://tools.example/apt
Suites: {0}
Components: stable
"""


def _system(tmp_path, *, release="ID=debian\nVERSION_CODENAME=bookworm\n", **files):
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text(release)
    for name, text in files.items():
        (tmp_path / "apt/sources.list.d" / name.replace("_", ".")).write_text(text)
    return tmp_path


def test_only_debians_own_sources_are_taken_for_the_boards_architecture(tmp_path):
    etc = _system(tmp_path, debian_sources=_DEB822.format("bookworm"))
    assert board_sources(etc) == {
        "debian.sources": (
            "types: deb\nuris: http://mirror.example/debian\nsuites: bookworm bookworm-updates\ncomponents: main\nsigned-by:\n"
            " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
        )
    }


def test_a_newer_debian_gives_the_boards_release_from_the_same_mirror(tmp_path):
    release = 'ID=debian\nVERSION_CODENAME="trixie"\n'
    lines = (
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main non-free # ours\n"
        "deb http://mirror.example/debian-security trixie-security main\ndeb-src http://mirror.example/debian trixie main\n"
    )
    assert board_sources(_system(tmp_path, release=release, a_list=lines)) == {
        "a.list": (
            "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main\n"
            "deb http://mirror.example/debian-security bookworm-security main\n"
        )
    }


def test_a_system_other_than_debian_is_told_how_to_name_sources(tmp_path):
    etc = _system(tmp_path, release='ID=ubuntu\nPRETTY_NAME="Ubuntu 24.04 LTS"\nVERSION_CODENAME=noble\n')
    with pytest.raises(MissingPartError, match="Ubuntu 24.04 LTS.*HARNESS_EMULATION_SOURCES"):
        board_sources(etc)
    own = tmp_path / "debian.list"
    own.write_text("deb http://mirror.example/debian bookworm main\n")
    assert board_sources(etc, str(own)) == {"board.list": own.read_text()}


def test_missing_programs_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(
        tools, "_which", lambda name: None if name in ("mke2fs", "qemu-system-aarch64") else f"/bin/{name}"
    )
    with pytest.raises(MissingPartError, match=r"qemu-system-aarch64, mke2fs.*\./bench.*qemu-system-arm e2fsprogs"):
        tools.require_tools()


@pytest.mark.parametrize(
    "model", ["x", "NXP i.MX8MPlus EVK board", "a model text that is far longer than the one before it"]
)
def test_the_model_of_a_device_tree_is_replaced_and_nothing_else(model):
    before = _device_tree("linux,dummy-virt")
    assert set_model(before, model) == _device_tree(model)


@pytest.mark.parametrize("cut", [0, 20, 60, 100])
def test_a_damaged_device_tree_is_refused(cut):
    with pytest.raises(DeviceTreeError):
        set_model(_device_tree("old")[:cut], "new")


def _device_tree(model: str) -> bytes:
    """A tree with a child node whose own `model` must stay."""

    def text(value: str) -> bytes:
        data = value.encode() + b"\0"
        return data + b"\0" * (-len(data) % 4)

    strings = b"model\0compatible\0"
    value = model.encode() + b"\0"
    tokens = (
        struct.pack(">II", 1, 0)
        + struct.pack(">III", 3, 4, 6)
        + text("abc")
        + struct.pack(">I", 4)
        + struct.pack(">III", 3, len(value), 0)
        + text(model)
        + struct.pack(">I", 1)
        + text("cpus")
        + struct.pack(">III", 3, 4, 0)
        + text("cpu")
        + struct.pack(">I", 2)
        + struct.pack(">II", 2, 9)
    )
    reserve = struct.pack(">QQQQ", 1, 2, 0, 0)
    at_struct = 40 + len(reserve)
    total = at_struct + len(tokens) + len(strings)
    header = (0xD00DFEED, total, at_struct, at_struct + len(tokens), 40, 17, 16, 0, len(strings), len(tokens))
    return struct.pack(">10I", *header) + reserve + tokens + strings


def test_cpio_entries_are_aligned_and_sized_as_newc_wants():
    archive = cpio_newc([("init", 0o100755, b"12345")])
    assert archive[:6] == b"070701" and int(archive[14:22], 16) == 0o100755 and int(archive[54:62], 16) == 5
    assert archive[110:115] == b"init\0" and archive[116:121] == b"12345"
    assert archive[124:130] == b"070701" and b"TRAILER!!!\0" in archive and len(archive) % 4 == 0


def test_the_emulation_block_gives_the_machine_and_the_overrides():
    block = {"machine": "qemu-aarch64", "cpus": 2, "backends": {"cpu": {"threads": 1}}}
    parsed = parse_block(block, where="imx8mp.yaml")
    assert parsed.spec == EmulationSpec(cpus=2) and parsed.overrides == {"backends": {"cpu": {"threads": 1}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": "qemu-arm64"}, "unknown emulated machine"),
        ({"memroy_mib": 512}, "did you mean memory_mib"),
        ({"memory_mib": "512"}, "memory_mib: expected a whole number"),
        ({"memory_mib": 16}, "memory_mib: 16 is not between"),
        ({"cpus": True}, "cpus: expected a whole number"),
        ({"cpu": "cortex-m4"}, "unknown emulated CPU"),
        ({"icount": True, "cpus": 2}, "needs a board with one CPU"),
        ({"runtime": "tflite-runtime"}, "is not a pinned runtime"),
        ({"model": "a\nb"}, "one line"),
    ],
)
def test_a_wrong_block_is_refused_with_its_place(change, message):
    with pytest.raises(UserInputError, match=f"imx8mp.yaml, emulation: .*{message}"):
        parse_block({"machine": "qemu-aarch64", **change}, where="imx8mp.yaml")


@pytest.mark.parametrize("path", ["usr/lib/x.so", "/usr/../etc/passwd", "/a b", "/a/", "/x;y"])
def test_a_board_path_that_is_not_plain_is_refused(path, tmp_path):
    with pytest.raises(UserInputError):
        BoardFile(source=tmp_path / "x", path=path)


def test_baked_in_files_count_by_content(tmp_path):
    file = tmp_path / "lib.so"
    file.write_bytes(b"1")
    spec = EmulationSpec(files=(BoardFile(source=file, path="/usr/lib/lib.so"),))
    first = spec.identity()
    file.write_bytes(b"2")
    assert spec.identity() != first
    file.unlink()
    with pytest.raises(UserInputError, match="cannot be read"):
        spec.identity()


@pytest.mark.slow
def test_a_build_that_fails_leaves_nothing_half_made(board_image, tmp_path, monkeypatch):
    store = PackageStore(folder=image._base())
    (tmp_path / "emulation/images/.building-old").mkdir(parents=True)
    for name in ("apt", "wheels", "pins"):
        (tmp_path / "emulation" / name).symlink_to(store.folder / name)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))

    def full(_debs, root):
        root.mkdir()
        (root / "half").touch()
        raise OSError(28, "No space left on device", "disk.img")

    monkeypatch.setattr(rootfs, "unpack_debs", full)
    with pytest.raises(UserInputError, match="disk.img: .*No space left.*HARNESS_CACHE_DIR"):
        ensure_image(board_image.spec)
    assert list((tmp_path / "emulation/images").iterdir()) == []


def test_a_line_that_apt_never_printed_before_is_not_passed_over():
    with pytest.raises(MissingPartError, match="unexpected"):
        debs._parse_uris("'http://mirror.example/x' x.deb\n")
