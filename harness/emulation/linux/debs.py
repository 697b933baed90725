"""Debian packages of another architecture, by the machine's own apt with a configuration of ours.

Nothing on the system is touched: lists, cache and status live in the harness's cache. The sources are those of the running
system, narrowed to Debian itself and to the release that boards run (their Python must be the one that
tflite-runtime has wheels for); proxies, credentials, keyrings and pins are the system's. On a distribution other than
Debian, $HARNESS_EMULATION_SOURCES names a file with apt sources of Debian.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import MissingPartError
from harness.emulation.tools import run_tool

#: Debian 12: the last release whose Python (3.11) tflite-runtime 2.14 has wheels for
RELEASE = "bookworm"
ARCHITECTURE = "arm64"
SOURCES_VARIABLE = "HARNESS_EMULATION_SOURCES"

_DEADLINE_S = 300.0
#: Needed only to install packages the ordinary way, or by other programs of the packages in question. They are declared as
#: installed, so that apt does not fetch them: half of all bytes.
_ASSUMED = (
    "adduser",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "lsb-base",
    "media-types",
    "passwd",
    "perl-base",
    "procps",
    "readline-common",
    "runit-helper",
    "sensible-utils",
    "sysvinit-utils",
    "tar",
    "ucf",
    "usr-is-merged",
    "usrmerge",
    "libsemanage2",
    "libsemanage-common",
)
_LIST_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>[^#]*)(#.*)?")
_URI_LINE = re.compile(r"'[^']+' (?P<name>[^ _]+)_(?P<version>[^ _]+)_(?P<architecture>[^ _]+)\.deb \d+( \S*)?")


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One package file. The archive never changes what a version holds; apt checks the digest when it fetches it."""

    name: str
    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """The name that apt saves it under."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


class PrivateApt:
    """apt with its state in `folder`.

    Raises (every method):
        MissingPartError: apt failed, or the sources have no packages for the board.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not apt's own folder of archives: apt leaves out of `--print-uris` what it finds there.
        self.archives = folder / "debs"

    def update(self) -> None:
        """Reads the package lists anew (about 9 MB)."""
        self._prepare()
        self._run(["update", "-q"], "the package lists for the emulated board could not be read")

    def resolve(self, names: Sequence[str], alone: Sequence[str] = ()) -> tuple[Deb, ...]:
        """The packages and all that they depend on; those of `alone` come without their dependencies."""
        failure = "the packages of the emulated board could not be resolved"
        lines = self._run(["install", "-y", "-q", "--print-uris", *names], failure)
        if alone:
            lines += self._run(["download", "-q", "--print-uris", *alone], failure)
        return tuple(sorted(_parse_uris(lines), key=lambda deb: deb.name))

    def dependency(self, name: str) -> str:
        """The one package that a meta-package stands for, such as the kernel behind linux-image-cloud-arm64."""
        failure = f"the package {name} is not in this machine's package sources"
        text = run_tool(
            ["apt-cache", "-c", self._config, "depends", "--important", name], failure, timeout_s=_DEADLINE_S
        )
        found = re.findall(r"^\s*(?:Pre)?Depends: (\S+)$", text, re.MULTILINE)
        if not found:
            raise MissingPartError(f"the package {name} depends on nothing", hint=_SOURCES_HINT)
        return found[0]

    def fetch(self, debs: Sequence[Deb]) -> tuple[Path, ...]:
        """The package files, downloaded where they are not there yet. apt checks their digests."""
        self.archives.mkdir(parents=True, exist_ok=True)
        missing = [deb for deb in debs if not (self.archives / deb.file_name).exists()]
        if missing:
            # Into a folder of its own first: apt-get download writes to the final name.
            incoming = self.folder / "incoming"
            shutil.rmtree(incoming, ignore_errors=True)
            incoming.mkdir(parents=True)
            wanted = [f"{deb.name}={deb.version}" for deb in missing]
            self._run(
                ["download", "-q", *wanted], "packages of the emulated board could not be downloaded", cwd=incoming
            )
            for deb in missing:
                os.replace(incoming / deb.file_name, self.archives / deb.file_name)
            shutil.rmtree(incoming)
        return tuple(self.archives / deb.file_name for deb in debs)

    @property
    def _config(self) -> Path:
        return self.folder / "apt.conf"

    def _run(self, arguments: Sequence[str], failure: str, cwd: Path | None = None) -> str:
        try:
            return run_tool(["apt-get", "-c", self._config, *arguments], failure, timeout_s=_DEADLINE_S, cwd=cwd)
        except MissingPartError as error:
            raise MissingPartError(error.what, hint=_SOURCES_HINT) from None

    def _prepare(self) -> None:
        """Writes the configuration. It is read after the system's own, whose proxies and credentials stay in force."""
        for name in ("state/lists/partial", "cache/archives/partial", "sources.d"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for old in (self.folder / "sources.d").iterdir():
            old.unlink()
        for name, text in board_sources().items():
            (self.folder / "sources.d" / name).write_text(text)
        stanza = (
            "Package: {}\nStatus: install ok installed\nVersion: 9999\nArchitecture: {}\nMulti-Arch: foreign\n"
            "Maintainer: nobody\nDescription: assumed\n\n"
        )
        (self.folder / "status").write_text("".join(stanza.format(name, ARCHITECTURE) for name in _ASSUMED))
        # `#clear` drops the system's hooks: they would clean or refresh things that are not ours.
        self._config.write_text(
            f'APT::Architecture "{ARCHITECTURE}";\n#clear APT::Architectures;\nAPT::Architectures {{ "{ARCHITECTURE}"; }};\n'
            f'Dir::State "{self.folder}/state";\nDir::State::status "{self.folder}/status";\n'
            f'Dir::Cache "{self.folder}/cache";\n'
            f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{self.folder}/sources.d";\n'
            'APT::Sandbox::User "root";\nAPT::Install-Recommends "false";\nAPT::Install-Suggests "false";\n'
            'Acquire::Languages "none";\nAcquire::Retries "3";\n'
            + "".join(
                f"#clear {hook};\n"
                for hook in (
                    "APT::Update::Pre-Invoke",
                    "APT::Update::Post-Invoke",
                    "APT::Update::Post-Invoke-Success",
                    "DPkg::Pre-Install-Pkgs",
                    "DPkg::Post-Invoke",
                    "Acquire::IndexTargets::deb::DEP-11",
                )
            )
        )


_SOURCES_HINT = (
    f"check the network and this machine's apt sources; {SOURCES_VARIABLE} may name a file with apt sources of "
    f"Debian ({RELEASE}) to use instead"
)


def board_sources(etc: Path = Path("/etc"), override: str | None = None) -> dict[str, str]:
    """The apt sources of a board: file name -> content.

    Args:
        etc: the running system's configuration.
        override: a sources file to use as it is; default `$HARNESS_EMULATION_SOURCES`.

    Raises:
        MissingPartError: this system is not Debian, or has no source for Debian's main section.
    """
    override = override or os.environ.get(SOURCES_VARIABLE)
    if override:
        path = Path(override).expanduser()
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            raise MissingPartError(f"{SOURCES_VARIABLE} is not a .list or .sources file", where=str(path))
        return {f"board{path.suffix}": path.read_text()}
    release = _os_release(etc)
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not codename:
        system = release.get("PRETTY_NAME") or "this system"
        what = (
            f"emulated boards are made of Debian {ARCHITECTURE} packages, and the package sources of {system} have none"
        )
        raise MissingPartError(what, hint=f"set {SOURCES_VARIABLE} to a file with apt sources of Debian ({RELEASE})")
    files = [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]
    found: dict[str, str] = {}
    for path in files:
        if path.is_file() and path.suffix in (".list", ".sources"):
            narrow = _narrow_list if path.suffix == ".list" else _narrow_deb822
            text = narrow(path.read_text(errors="replace"), codename)
            if text:
                found[path.name] = text
    if not found:
        raise MissingPartError(f"no apt source for Debian {codename} main found in {etc / 'apt'}", hint=_SOURCES_HINT)
    return found


def _os_release(etc: Path) -> dict[str, str]:
    try:
        lines = (etc / "os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}


def _board_suite(suite: str, codename: str) -> str | None:
    """The board's suite for one of the system's, None for a suite that is not Debian's own."""
    if suite in (codename, f"{codename}-updates", f"{codename}-security"):
        return suite.replace(codename, RELEASE)
    return None


def _narrow_list(text: str, codename: str) -> str:
    """One-line sources (sources.list(5)): Debian's own `deb` lines, for the board's release and architecture."""
    lines = []
    for line in text.splitlines():
        match = _LIST_LINE.fullmatch(line)
        suite = match and _board_suite(match["suite"], codename)
        if match and suite and "main" in match["rest"].split():
            kept = [o for o in (match["options"] or "").split() if not o.startswith("arch")]
            options = f"[{' '.join(kept)}] " if kept else ""
            lines.append(f"deb {options}{match['uri']} {suite} main\n")
    return "".join(lines)


def _narrow_deb822(text: str, codename: str) -> str:
    """The same for deb822 sources. A field that goes on over indented lines (Signed-By with a key in it) stays whole."""
    stanzas = []
    for raw in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in raw.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value
        suites = [s for s in (_board_suite(s, codename) for s in fields.get("suites", "").split()) if s]
        plain = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0")
        if (
            suites
            and plain
            and "deb" in fields.get("types", "").split()
            and "main" in fields.get("components", "").split()
        ):
            fields |= {"types": " deb", "suites": " " + " ".join(suites), "components": " main"}
            fields.pop("architectures", None)
            stanzas.append("".join(f"{key}:{value}\n" for key, value in fields.items()))
    return "\n".join(stanzas)


def _parse_uris(text: str) -> set[Deb]:
    debs = set()
    for line in text.splitlines():
        if line.startswith("'"):
            match = _URI_LINE.fullmatch(line)
            if not match:
                raise MissingPartError(f"apt said something unexpected: {line}")
            version = match["version"].replace("%3a", ":")
            debs.add(Deb(name=match["name"], version=version, architecture=match["architecture"]))
    if not debs:
        raise MissingPartError("apt named no package for the emulated board", hint=_SOURCES_HINT)
    return debs
