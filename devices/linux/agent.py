"""The agent: runs TensorFlow Lite models on a Linux board for the harness. One file, Python 3.8 or newer, and numpy.

`boot.py` starts it as a supervisor that talks frames (docs/internals/agent-protocol.md) with the host over stdin and stdout. Each
cell runs in a worker, a fresh interpreter in a session of its own: delegates crash, hang and print on stdout. The
supervisor never imports a runtime. It owns deadlines, notices when the host is gone, and leaves nothing but its cache.

Sections: frames, the file store, graph caches, facts about the board, the worker, the supervisor.
"""

import array
import contextlib
import fcntl
import gc
import glob
import hashlib
import json
import mmap
import os
import platform
import re
import resource
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

# ---------------------------------------------------------------------------------------------------------- frames

LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 8 << 20
#: outputs leave the board in pieces of this size
PIECE_BYTES = 1 << 20
#: samples stay in memory for this much at a time
FED_BYTES = 4 << 20
BLOCK_ROWS = 4096


class ProtocolError(Exception):
    """What came is no frame."""


class HostGone(Exception):
    """The link is closed: the agent's reason to end."""


class Refused(Exception):
    """An answer of type `error`: a code of docs/internals/agent-protocol.md and a message."""


class NoDelegate(Exception):
    """The delegate's library did not load, or would not start: nothing of the model has been seen by then."""


class FrameBuffer:
    """Cuts a stream of bytes into frames."""

    def __init__(self):
        self.data = bytearray()

    def pop(self):
        """The next whole frame as (header, payload), or None when more bytes are needed."""
        if len(self.data) < LENGTHS.size:
            return None
        header_bytes, payload_bytes = LENGTHS.unpack_from(self.data)
        if not 2 <= header_bytes <= MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
            raise ProtocolError("a frame of %d + %d bytes is over the limits" % (header_bytes, payload_bytes))
        start = LENGTHS.size + header_bytes
        end = start + payload_bytes
        if len(self.data) < end:
            return None
        try:
            header = json.loads(self.data[LENGTHS.size : start].decode())
        except ValueError as error:
            raise ProtocolError("a header is no JSON: %s" % error)
        if not isinstance(header, dict):
            raise ProtocolError("a header is no JSON object")
        payload = bytes(self.data[start:end])
        del self.data[:end]
        return header, payload


def write_frame(fd, header, payload=b""):
    """Writes one frame, blocking until it is out."""
    text = json.dumps(header, separators=(",", ":")).encode()
    payload = memoryview(payload).cast("B")
    for piece in (LENGTHS.pack(len(text), len(payload)) + text, payload):
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]


def take_frame_descriptor():
    """The descriptor for frames: a copy of stdout, after which everything printed on stdout lands on stderr."""
    frames = os.dup(1)
    os.dup2(2, 1)
    return frames


# ------------------------------------------------------------------------------------------------------ file store

#: room that stays free for the board itself
FREE_MARGIN_BYTES = 1 << 20
#: an unfinished upload that has not grown for this long has lost its host
STALE_S = 600
SHA256 = re.compile(r"[0-9a-f]{64}")


class Store:
    """Files by their SHA-256. Files in use by any agent carry a shared lock and are not evicted."""

    def __init__(self, root):
        self.folder = os.path.join(root, "files")
        self.limit_bytes = 1 << 30
        self.pins = {}
        for path in glob.glob(os.path.join(self.folder, ".tmp-*")):
            with contextlib.suppress(OSError):
                if time.time() - os.stat(path).st_mtime > STALE_S:
                    os.unlink(path)

    def path(self, sha256):
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise Refused("protocol", "%r is no SHA-256" % (sha256,))
        return os.path.join(self.folder, sha256)

    def need(self, sha256):
        """The path of a file that must be there."""
        path = self.path(sha256)
        if not os.path.isfile(path):
            raise Refused("absent", "file %s is not on the board (any more)" % sha256[:12])
        return path

    def have(self, sha256, tick):
        """True when the file is there and whole; then it stays until the agent ends. A damaged one is removed."""
        path = self.path(sha256)
        if sha256 in self.pins:
            return True
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH)
        digest = hashlib.sha256()
        for piece in iter(lambda: os.read(fd, PIECE_BYTES), b""):
            digest.update(piece)
            tick()
        whole = digest.hexdigest() == sha256
        if not whole or os.fstat(fd).st_nlink == 0:
            if not whole:
                os.unlink(path)
            os.close(fd)
            return False
        os.utime(path)
        self.pins[sha256] = fd
        return True

    def make_room(self, size):
        """Evicts the files unused for longest until `size` more bytes fit under the limit and on the disk."""
        if size > self.limit_bytes:
            raise Refused("setting", "a file of %d bytes is over the cache limit of %d" % (size, self.limit_bytes))
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                files.append((facts.st_mtime, facts.st_size, entry.path))
        excess = sum(f[1] for f in files) + size - self.limit_bytes
        missing = size + FREE_MARGIN_BYTES - self.free_bytes()
        for _, file_bytes, path in sorted(files):
            if excess <= 0 and missing <= 0:
                break
            if not os.path.basename(path).startswith(".tmp-") and self.evict(path):
                excess -= file_bytes
                missing -= file_bytes
        free = self.free_bytes()
        if size + FREE_MARGIN_BYTES > free:
            raise Refused("no_space", "%s has %d bytes free, %d are needed" % (self.folder, free, size))

    def evict(self, path):
        """Removes a file unless an agent holds its lock."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
            return True
        except OSError:
            return False
        finally:
            os.close(fd)

    def free_bytes(self):
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def receive(self, sha256, pieces):
        """Stores what `pieces()` yields. After an error the rest is still read, because the host goes on sending."""
        path = self.path(sha256)
        digest, problem = hashlib.sha256(), None
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".tmp-")
        try:
            for piece in pieces():
                digest.update(piece)
                view = memoryview(piece)
                try:
                    while view and problem is None:
                        view = view[os.write(handle, view) :]
                except OSError as error:
                    problem = error
                    os.ftruncate(handle, 0)
            if problem is None:
                try:
                    os.fsync(handle)
                except OSError as error:
                    problem = error
            if problem is not None:
                raise Refused("no_space", "the file could not be written to %s: %s" % (self.folder, problem.strerror))
            if digest.hexdigest() != sha256:
                raise Refused("corrupt", "file %s arrived damaged" % sha256[:12])
            os.rename(temporary, path)
            temporary = None
        finally:
            os.close(handle)
            if temporary:
                os.unlink(temporary)


# ---------------------------------------------------------------------------------------------------- graph caches

#: stands in a backend's environment and delegate options where the folder's path goes
CACHE_DIR = "{cache_dir}"
#: how often a folder is measured while a delegate may be writing into it
MEASURE_S = 1.0


class GraphCaches:
    """Folders in which delegates keep compiled graphs: this session's own, mode 0700, gone when it ends.

    They lie in `graphs/SESSION/N` under the agent's folder. A session holds a lock on its folder, so that one left behind by
    an agent that was killed is recognised, and removed, by the next one. `graphs` itself is locked while that happens.
    """

    def __init__(self, root):
        self.base = os.path.join(root, "graphs")
        self.limit_bytes = 256 << 20
        self.session = self.session_lock = None
        self.count = 0
        #: the folder made last
        self.last = None
        if os.path.isdir(self.base):
            self.remove_abandoned()

    @contextlib.contextmanager
    def base_locked(self):
        fd = os.open(self.base, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def remove_abandoned(self):
        with self.base_locked():
            for name in os.listdir(self.base):
                path = os.path.join(self.base, name)
                with contextlib.suppress(OSError):
                    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(path, ignore_errors=True)
                    finally:
                        os.close(fd)

    def fresh(self, in_use):
        """A new, empty folder. Earlier ones go, but for those `in_use`."""
        if self.session is None:
            os.makedirs(self.base, mode=0o700, exist_ok=True)
            with self.base_locked():
                self.session = tempfile.mkdtemp(dir=self.base)
                self.session_lock = os.open(self.session, os.O_RDONLY | os.O_CLOEXEC)
                with contextlib.suppress(OSError):
                    fcntl.flock(self.session_lock, fcntl.LOCK_EX)
        for name in os.listdir(self.session):
            path = os.path.join(self.session, name)
            if path not in in_use:
                shutil.rmtree(path, ignore_errors=True)
        self.count += 1
        self.last = os.path.join(self.session, str(self.count))
        os.mkdir(self.last, 0o700)
        return self.last

    def kept(self):
        """The folder made last, with what a worker left in it."""
        if self.last is None:
            raise Refused("protocol", "there is no graph cache to keep: no worker has had one")
        return self.last

    @staticmethod
    def measure(path):
        """(files, bytes) in a folder, without following links."""
        files = size = 0
        for folder, _, names in os.walk(path):
            for name in names:
                with contextlib.suppress(OSError):  # renamed or removed meanwhile
                    size += os.lstat(os.path.join(folder, name)).st_size
                    files += 1
        return files, size

    @staticmethod
    def empty(path):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700, exist_ok=True)

    def close(self):
        """Removes all that this session made."""
        if self.session is not None:
            shutil.rmtree(self.session, ignore_errors=True)
            os.close(self.session_lock)
            self.session = self.session_lock = self.last = None


def wants_cache(backend):
    """True when a backend names the folder anywhere."""
    return any(
        CACHE_DIR in value for value in list(backend["env"].values()) + list(backend["delegate_options"].values())
    )


def with_cache_text(text, folder):
    return text.replace(CACHE_DIR, folder) if CACHE_DIR in text else text


def with_cache(backend, folder):
    """The backend with the folder's path in place of `{cache_dir}`."""
    filled = {
        name: {key: value.replace(CACHE_DIR, folder) for key, value in backend[name].items()}
        for name in ("env", "delegate_options")
    }
    return dict(backend, **filled)


# -------------------------------------------------------------------------------------------- facts about the board

#: distributions that provide a runtime's module
DISTRIBUTIONS = {"tflite_runtime": "tflite-runtime", "ai_edge_litert": "ai-edge-litert", "numpy": "numpy"}
#: part numbers of /proc/cpuinfo on Arm, from the kernel's arch/arm64/include/asm/cputype.h
ARM_PARTS = {
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xC07: "Cortex-A7",
    0xC09: "Cortex-A9",
    0xC0F: "Cortex-A15",
}


def read_text(path):
    """A small file of /proc or /sys without its end, or None."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def read_number(path):
    text = read_text(path)
    try:
        return int(text) if text else None
    except ValueError:
        return None


def cpu_model():
    """The processor's name as /proc/cpuinfo tells it; on Arm by its part number."""
    found = {}
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    for key in ("model name", "cpu model", "Processor", "uarch"):
        if found.get(key):
            return found[key]
    try:
        part = int(found.get("CPU part", "0"), 0)
    except ValueError:
        part = 0
    return ARM_PARTS.get(part) or (part and "Arm part 0x%x" % part) or found.get("Hardware")


def os_name():
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', read_text(path) or "", re.MULTILINE)
        if match:
            return match.group(1)
    return None


def governor(cpu=0):
    return read_text("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor" % cpu)


def frequency_hz(cpu=0):
    khz = read_number("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq" % cpu)
    return khz * 1000 if khz else None


def temperature_c():
    """The processor's thermal zone, or the first one that answers, in degrees Celsius."""
    zones = []
    for folder in sorted(glob.glob("/sys/class/thermal/thermal_zone*")):
        millidegrees = read_number(os.path.join(folder, "temp"))
        if millidegrees is not None:
            kind = (read_text(os.path.join(folder, "type")) or "").lower()
            zones.append((not any(word in kind for word in ("cpu", "soc", "pkg")), millidegrees / 1000.0))
    return min(zones)[1] if zones else None


def installed_version(module):
    """The version of an installed package without importing it when possible; None when it is not installed."""
    import importlib.util
    from importlib import metadata

    try:
        if importlib.util.find_spec(module) is None:
            return None
        return metadata.version(DISTRIBUTIONS[module])
    except metadata.PackageNotFoundError:
        # Images of a vendor install the module without its metadata.
        code = "import sys, %s as m; sys.stderr.write(m.__version__)" % module
        ran = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        return ran.stderr.decode().strip() if ran.returncode == 0 else "unknown"


#: where vendors' images keep TensorFlow Lite's own benchmark (NXP's Yocto)
VENDOR_BENCHMARKS = "/usr/bin/tensorflow-lite-*/examples/benchmark_model"


def vendor_benchmark():
    """The newest of them, by the numbers in its path, or None."""
    found = [path for path in glob.glob(VENDOR_BENCHMARKS) if os.access(path, os.X_OK)]
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)], default=None)


def library_facts(path, tick):
    """What a delegate's library is: its hash, and the name of the file behind the links, which often holds a version.

    None when it cannot be read; loading it then says why.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for piece in iter(lambda: file.read(PIECE_BYTES), b""):
                digest.update(piece)
                tick()
    except OSError:
        return None
    return {"sha256": digest.hexdigest(), "file": os.path.basename(os.path.realpath(path))}


#: machines in an ELF header (e_machine), as far as boards are made of them
ELF_MACHINES = {3: "32-bit x86", 8: "MIPS", 40: "32-bit Arm", 62: "x86-64", 183: "64-bit Arm", 243: "RISC-V"}


def elf_machine(path):
    """(bits, machine number) of a program or library, or None when it is none."""
    with open(path, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return {1: 32, 2: 64}.get(head[4]), int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")


def library_problem(path):
    """Why the dynamic linker cannot take a library, where it does not say so itself: it calls a foreign one absent."""
    try:
        found, own = elf_machine(path), elf_machine("/proc/self/exe")
    except FileNotFoundError:
        return "there is no %s on the board" % path
    except OSError as error:
        return "%s cannot be read: %s" % (path, error.strerror)
    if found is None:
        return "%s is no shared library: it does not begin with an ELF header" % path
    if own is not None and found != own:
        names = [
            "%s (%s bits)" % (ELF_MACHINES.get(number, "machine %d" % number), bits) for bits, number in (found, own)
        ]
        return "%s is for %s, the board's Python is for %s" % (path, names[0], names[1])
    return None


def without_delegate_noise(unraisable):
    """Prints what cannot be raised, but for one: a runtime's `Delegate` whose library did not load trips over its own
    `__del__`, after the failure itself has been told."""
    finalizer = getattr(unraisable.object, "__qualname__", "")
    if finalizer != "Delegate.__del__" or not isinstance(unraisable.exc_value, AttributeError):
        sys.__unraisablehook__(unraisable)


def board_facts(module, agent_sha256):
    """Everything of the host's `Fingerprint` that the board knows."""
    if module not in ("tflite_runtime", "ai_edge_litert"):
        raise Refused("protocol", "unknown runtime module %r" % (module,))
    for name in ("numpy", module):
        if installed_version(name) is None:
            what = "%s is not installed for %s" % (DISTRIBUTIONS[name], sys.executable)
            raise Refused("missing", "%s; run: %s -m pip install %s" % (what, sys.executable, DISTRIBUTIONS[name]))
    return {
        "runtime": "%s %s" % (DISTRIBUTIONS[module], installed_version(module)),
        "python": platform.python_version(),
        "kernel": "%s %s" % (platform.system(), platform.release()),
        "machine": platform.machine(),
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "board_model": read_text("/proc/device-tree/model") or read_text("/sys/class/dmi/id/product_name"),
        "bsp": os_name(),
        "governor": governor(),
        "agent_sha256": agent_sha256,
    }


# ---------------------------------------------------------------------------------------------------------- worker

PROGRESS_NS = 250_000_000
#: warm-up: a window is at least this long in samples and time
WINDOW_SAMPLES = 10
WINDOW_NS = 20_000_000
#: warm-up is over when the medians of three successive windows agree within this share, or within the clock's grain
STABLE_SHARE = 0.02
STABLE_NS = 100


class Worker:
    """One cell: an interpreter, driven by the supervisor's requests."""

    def __init__(self, frames):
        self.frames = frames
        self.interpreter = None
        self.feeds = None
        self.invoked = False

    def serve(self):
        """Answers requests until the supervisor closes the pipe."""
        verbs = {
            "start": self.start,
            "load": self.load,
            "first_invoke": self.first_invoke,
            "evaluate": self.evaluate,
            "bench": self.bench,
            "placement": self.placement,
            "stats": self.stats,
        }
        buffer = FrameBuffer()
        while True:
            frame = buffer.pop()
            if frame is None:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                buffer.data += data
                continue
            request = frame[0]
            try:
                answer = verbs[request["verb"]](request)
                write_frame(self.frames, dict(answer, type="ok"))
            except Refused as error:
                write_frame(self.frames, {"type": "error", "code": error.args[0], "message": error.args[1]})
            except NoDelegate as error:
                write_frame(
                    self.frames, {"type": "error", "code": "exception", "message": str(error), "phase": "delegate"}
                )
            except Exception as error:  # whatever the runtime or a delegate raises is the cell's outcome
                plain = isinstance(error, (RuntimeError, ValueError)) and str(error).strip()
                message = str(error).strip() if plain else "%s: %s" % (type(error).__name__, error)
                write_frame(self.frames, {"type": "error", "code": "exception", "message": message})

    def start(self, request):
        """Binds to the backend's CPUs, then imports the runtime, whose threads inherit the binding."""
        self.backend = request["backend"]
        cpus = self.backend["affinity"]
        if cpus:
            missing = sorted(set(cpus) - os.sched_getaffinity(0))
            if missing:
                usable = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
                what = "affinity names CPU %s, the board gives CPU %s" % (", ".join(map(str, missing)), usable)
                raise Refused("setting", what)
            os.sched_setaffinity(0, cpus)
        self.cpu = cpus[0] if cpus else 0
        try:
            import importlib

            self.runtime = importlib.import_module(request["module"] + ".interpreter")
            self.np = importlib.import_module("numpy")
        except Exception as error:
            raise Refused("missing", "%s does not import: %s: %s" % (request["module"], type(error).__name__, error))
        gc.collect()
        gc.freeze()  # what is there now is never looked at again
        return {}

    def load(self, request):
        """Creates the interpreter. The time covers delegate, creation and allocation, not the look at the nodes."""
        runtime, backend = self.runtime, self.backend
        with open(request["path"], "rb") as file:
            if file.read(8)[4:] != b"TFL3":  # tflite-runtime 2.14 crashes on such a file
                raise ValueError("the file is no TensorFlow Lite model (it does not hold TFL3 at byte 4)")
        resolver = {
            "reference": "BUILTIN_REF",
            "default": "AUTO",
            "no-default-delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
        }[backend["kernels"]]
        began = time.perf_counter_ns()
        delegates = None
        if backend["delegate_path"]:
            delegates = [self.load_delegate(backend["delegate_path"], backend["delegate_options"])]
        interpreter = runtime.Interpreter(
            model_path=request["path"],
            num_threads=backend["threads"],
            experimental_delegates=delegates,
            experimental_op_resolver_type=getattr(runtime.OpResolverType, resolver),
        )
        created = time.perf_counter_ns()
        self.nodes_before = self.node_list(interpreter)
        resumed = time.perf_counter_ns()
        interpreter.allocate_tensors()
        ended = time.perf_counter_ns()
        self.nodes_after = self.node_list(interpreter)
        self.interpreter, self.feeds, self.invoked = interpreter, None, False
        return {
            "load_ns": created - began + ended - resumed,
            "inputs": [self.tensor_io(d) for d in interpreter.get_input_details()],
            "outputs": [self.tensor_io(d) for d in interpreter.get_output_details()],
        }

    def load_delegate(self, path, options):
        try:
            return self.runtime.load_delegate(path, options)
        except Exception as error:
            sys.unraisablehook = without_delegate_noise
            problem = library_problem(path) if isinstance(error, OSError) else None
            raise NoDelegate(problem or str(error).strip() or type(error).__name__)

    def tensor_io(self, details):
        scale, zero_point = details["quantization"]
        return {
            "name": details["name"],
            "dtype": self.np.dtype(details["dtype"]).name,
            "shape": [int(n) for n in details["shape"]],
            "scale": float(scale),
            "zero_point": int(zero_point),
        }

    # -- samples

    def set_feeds(self, paths):
        """Maps the sample files, one per input in the model's order, and checks them against the model."""
        np = self.np
        details = self.loaded().get_input_details()
        if len(paths) != len(details):
            raise ValueError("the model has %d inputs, %d sample files were given" % (len(details), len(paths)))
        feeds = []
        for number, want in enumerate(details):
            path = paths[number]
            try:
                mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            except Exception as error:
                raise ValueError("the samples of input %d are no usable .npy file: %s" % (number, error))
            shape = tuple(int(n) for n in want["shape"])
            row = shape[1:] if shape[:1] == (1,) else shape
            if mapped.ndim == 0 or mapped.dtype != want["dtype"] or mapped.shape[1:] != row:
                raise ValueError(
                    "input %d (%s) wants samples of %s %s, the file holds %s %s"
                    % (
                        number,
                        want["name"],
                        np.dtype(want["dtype"]).name,
                        ["N"] + list(row),
                        mapped.dtype.name,
                        list(mapped.shape),
                    )
                )
            if len(mapped) == 0 or not mapped.flags.c_contiguous:
                raise ValueError("the samples of input %d are empty or not in C order" % number)
            # A plain array over the map: indexing a memmap is several times slower.
            samples = np.asarray(mapped).reshape((len(mapped),) + shape)
            feeds.append((want["index"], samples, getattr(mapped, "_mmap", None)))
        counts = sorted({len(samples) for _, samples, _ in feeds})
        if len(counts) > 1:
            raise ValueError("the sample files hold different numbers of samples: %s" % counts)
        self.feeds = feeds

    def loaded(self):
        if self.interpreter is None:
            raise Refused("protocol", "no model is loaded")
        return self.interpreter

    def feed(self, row):
        """Sets every input to sample `row`."""
        for index, samples, _ in self.feeds:
            self.interpreter.set_tensor(index, samples[row])

    def timed_invoke(self):
        invoke, now = self.interpreter.invoke, time.perf_counter_ns
        began = now()
        invoke()
        ended = now()
        self.invoked = True
        return ended - began

    def first_invoke(self, request):
        self.set_feeds(request["paths"])
        self.feed(0)
        return {"first_invoke_ns": self.timed_invoke()}

    def evaluate(self, request):
        """Runs samples [start, start + count); sends rows in blocks so that the outputs never fill the memory."""
        np = self.np
        self.set_feeds(request["paths"])
        start, count = request["start"], request["count"]
        if start < 0 or count < 1 or start + count > len(self.feeds[0][1]):
            total = len(self.feeds[0][1])
            raise ValueError("samples %d to %d were asked for, the file holds %d" % (start, start + count, total))
        if not self.invoked:
            # Only after an invoke are the shapes of dynamic outputs known.
            self.feed(start)
            self.timed_invoke()
        outputs = self.output_kinds()
        row_bytes = max(dtype.itemsize * int(np.prod(shape)) for _, dtype, shape in outputs)
        fed_bytes = sum(samples[0].nbytes for _, samples, _ in self.feeds)
        block = max(1, min(BLOCK_ROWS, PIECE_BYTES // max(row_bytes, 1), FED_BYTES // max(fed_bytes, 1)))
        self.next_progress = time.perf_counter_ns() + PROGRESS_NS if request.get("progress") else 1 << 62
        gc.disable()
        began = time.perf_counter_ns()
        try:
            for first in range(start, start + count, block):
                rows, times = self.run_block(first, min(first + block, start + count), outputs, start, count)
                for number, (_, dtype, shape) in enumerate(outputs):
                    data = b"".join(rows[number])
                    if len(data) != len(times) * dtype.itemsize * int(np.prod(shape)):
                        raise ValueError("output %d has another shape for some samples" % number)
                    self.send_rows(number, data)
                self.send_rows(-1, times.tobytes())
                for _, _, mapped in self.feeds:
                    if hasattr(mapped, "madvise"):
                        # Samples already run would otherwise count as the worker's memory.
                        mapped.madvise(mmap.MADV_DONTNEED)
        finally:
            gc.enable()
        return {
            "elapsed_ns": time.perf_counter_ns() - began,
            "count": count,
            "outputs": [{"dtype": dtype.str, "shape": list(shape)} for _, dtype, shape in outputs],
        }

    def output_kinds(self):
        """[(tensor index, dtype, shape of one row)] of every output, as the last invoke left them."""
        kinds = []
        for details in self.interpreter.get_output_details():
            value = self.interpreter.get_tensor(details["index"])
            if value.dtype.kind not in "biuf":
                raise ValueError("output %s is of type %s, which has no numbers" % (details["name"], value.dtype))
            kinds.append((details["index"], value.dtype, value.shape[1:] if value.shape[:1] == (1,) else value.shape))
        return kinds

    def run_block(self, first, end, outputs, start, count):
        """The loop itself, over samples [first, end). Nothing but `invoke` stands between the two clock readings.

        Returns the output arrays, a list per output, and the times.
        """
        now, invoke, get_tensor = time.perf_counter_ns, self.interpreter.invoke, self.interpreter.get_tensor
        set_tensor, feeds = self.interpreter.set_tensor, [feed[:2] for feed in self.feeds]
        rows, times = [[] for _ in outputs], array.array("q")
        takes = [(rows[number].append, kind[0]) for number, kind in enumerate(outputs)]
        add_time, next_progress = times.append, self.next_progress
        for sample in range(first, end):
            for index, samples in feeds:
                set_tensor(index, samples[sample])
            began = now()
            invoke()
            ended = now()
            add_time(ended - began)
            for take, index in takes:
                take(get_tensor(index))
            if ended >= next_progress:
                write_frame(self.frames, {"type": "progress", "done": sample + 1 - start, "total": count})
                next_progress = self.next_progress = now() + PROGRESS_NS
        return rows, times

    def send_rows(self, output, data):
        for begin in range(0, len(data), PIECE_BYTES):
            write_frame(self.frames, {"type": "rows", "output": output}, memoryview(data)[begin : begin + PIECE_BYTES])

    # -- timing

    def bench(self, request):
        """Warm-up until stable, then samples. The input is set before every invoke: some runtimes reuse its memory."""
        if self.feeds is None:
            raise Refused("protocol", "bench needs a first_invoke or an evaluate before it")
        gc.disable()
        try:
            warmup, stable = self.warm_up(request["warmup_max_ns"])
            samples = self.sample(request["min_samples"], request["min_ns"], request["max_ns"])
        finally:
            gc.enable()
        self.send_rows(-2, warmup.tobytes())
        self.send_rows(-1, samples.tobytes())
        return {"warmup": len(warmup), "samples": len(samples), "stable": stable}

    def warm_up(self, max_ns):
        samples, medians = array.array("q"), []
        began = time.perf_counter_ns()
        while time.perf_counter_ns() - began < max_ns:
            left_ns = max_ns - (time.perf_counter_ns() - began)
            window = self.sample(WINDOW_SAMPLES, WINDOW_NS, left_ns)
            samples += window
            medians = medians[-2:] + [sorted(window)[len(window) // 2]]
            spread = max(medians) - min(medians)
            if len(medians) == 3 and spread <= max(STABLE_SHARE * min(medians), STABLE_NS):
                return samples, True
        return samples, False

    def sample(self, min_samples, min_ns, max_ns):
        """Times of successive invokes: at least `min_samples` and `min_ns` of wall time, but none begun after `max_ns`."""
        now, invoke, set_tensor = time.perf_counter_ns, self.interpreter.invoke, self.interpreter.set_tensor
        feeds = [(index, samples[0]) for index, samples, _ in self.feeds]
        times = array.array("q")
        began = now()
        while True:
            for index, value in feeds:
                set_tensor(index, value)
            before = now()
            invoke()
            after = now()
            times.append(after - before)
            elapsed = after - began
            if elapsed >= max_ns or (elapsed >= min_ns and len(times) >= min_samples):
                self.invoked = True
                return times

    # -- placement

    @staticmethod
    def node_list(interpreter):
        """[(op, inputs, outputs)] of every node, or None when this runtime does not tell."""
        try:
            details = interpreter._get_ops_details()
        except AttributeError:
            return None
        return [(d["op_name"], [int(t) for t in d["inputs"]], [int(t) for t in d["outputs"]]) for d in details]

    def placement(self, request):
        """Which nodes a delegate swallowed.

        The runtime keeps the original nodes and appends one named DELEGATE per partition: those there before
        allocation are the external delegate's, those that come with it XNNPACK's. The swallowed nodes are those found
        walking back from its outputs to its inputs.
        """
        self.loaded()
        if self.nodes_before is None or self.nodes_after is None:
            return {"nodes": None, "note": "this runtime does not list its nodes"}
        external_end = len(self.nodes_before)
        nodes = [node for node in self.nodes_after if node[0] != "DELEGATE"]
        producer = {t: number for number, node in enumerate(nodes) for t in node[2]}
        taken = {}
        partition = 0
        for number, (op, inputs, outputs) in enumerate(self.nodes_after):
            if op != "DELEGATE":
                continue
            kind = "external" if number < external_end else "xnnpack"
            edge, seen = [t for t in outputs if t not in inputs], set(inputs)
            while edge:
                tensor = edge.pop()
                if tensor in seen:
                    continue
                seen.add(tensor)
                node = producer.get(tensor)
                if node is not None and node not in taken:
                    taken[node] = (kind, partition)
                    edge += nodes[node][1]
            partition += 1
        rows = []
        for number, (op, inputs, outputs) in enumerate(nodes):
            kind, part = taken.get(number, ("cpu", None))
            row = {"node": number, "op": op, "on": kind, "partition": part, "inputs": inputs, "outputs": outputs}
            rows.append(row)
        external = sum(1 for node in self.nodes_before if node[0] == "DELEGATE")
        return {"nodes": rows, "external_partitions": external}

    def stats(self, request):
        match = re.search(r"^VmHWM:\s+(\d+) kB", read_text("/proc/self/status") or "", re.MULTILINE)
        return {
            "memory_peak_bytes": int(match.group(1)) * 1024 if match else None,
            "governor": governor(self.cpu),
            "frequency_hz": frequency_hz(self.cpu),
            "temperature_c": temperature_c(),
        }


def prepare_worker_process(parent):
    """Makes the worker die with its supervisor, and C programs print at once. Without ctypes it works nearly as well."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        # stdout is a pipe now, so C would buffer whole blocks and lose them in a crash; 1 is _IOLBF.
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, 1, ctypes.c_size_t(0))
    except (ImportError, OSError, ValueError, AttributeError):
        pass
    if os.getppid() != parent:
        os._exit(0)  # it died before the request to die with it


# ------------------------------------------------------------------------------------------------------ supervisor

LOG_BYTES = 64 << 10
#: of a program's own output, whose table has a line per node
PROGRAM_BYTES = 1 << 20
#: how long a worker may take to end by itself
END_S = 5.0


class WorkerEnded(Exception):
    """A worker is gone. `args[0]` is the failure's header."""


class Child:
    """A worker as the supervisor sees it."""

    def __init__(self, process):
        self.process = process
        self.buffer = FrameBuffer()
        self.open_pipes = 2
        #: True once its frames have ended: it can answer nothing more
        self.silent = False
        self.log = bytearray()
        self.log_limit = LOG_BYTES
        self.dropped = 0
        #: the folder of its delegate's compiled graphs, or None
        self.cache = None

    def add_log(self, data):
        self.log += data
        excess = len(self.log) - self.log_limit
        if excess > 0:
            del self.log[:excess]
            self.dropped += excess

    def log_bytes(self):
        head = b"[%d bytes dropped]\n" % self.dropped if self.dropped else b""
        return head + bytes(self.log)

    def has_exited(self):
        """True once the process has ended. It stays a zombie, so that its group's id cannot be taken by another."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self.process.returncode is not None or os.waitid(os.P_PID, self.process.pid, flags) is not None

    def kill(self):
        """Kills the worker's whole group, then reaps the worker. Returns its exit code, negative for a signal."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return self.process.returncode


class Supervisor:
    """Answers the host's requests, one at a time."""

    def __init__(self, frames, root, agent_sha256):
        self.frames = frames
        self.store = Store(root)
        self.caches = GraphCaches(root)
        self.agent_sha256 = agent_sha256
        self.buffer = FrameBuffer()
        self.children = {}
        self.next_worker = 1
        self.module = None
        self.heartbeat_s = 5.0
        self.last_sent = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.from_host)

    # -- input and output

    def reply(self, header, payload=b""):
        try:
            write_frame(self.frames, header, payload)
        except OSError:
            raise HostGone()
        self.last_sent = time.monotonic()

    def tick(self):
        """A sign of life, when it is due."""
        if time.monotonic() - self.last_sent >= self.heartbeat_s:
            self.reply({"type": "alive"})

    def from_host(self):
        try:
            data = os.read(0, 1 << 18)
        except OSError:
            data = b""
        if not data:
            raise HostGone()
        self.buffer.data += data

    def pump(self, timeout_s):
        """Waits for input from anyone and takes it in. True when something came."""
        ready = self.selector.select(max(timeout_s, 0))
        for key, _ in ready:
            key.data()
        return bool(ready)

    def next_frame(self):
        while True:
            frame = self.buffer.pop()
            if frame is not None:
                return frame
            self.pump(60.0)

    def watch(self, child):
        """Takes in a worker's frames and log from now on."""

        def reader(pipe, sink):
            def read():
                data = os.read(pipe.fileno(), 1 << 18)
                if data:
                    sink(data)
                else:
                    self.selector.unregister(pipe)
                    child.open_pipes -= 1
                    child.silent = child.silent or pipe is child.process.stdout

            return read

        out, err = child.process.stdout, child.process.stderr
        self.selector.register(out, selectors.EVENT_READ, reader(out, child.buffer.data.extend))
        self.selector.register(err, selectors.EVENT_READ, reader(err, child.add_log))

    # -- requests

    def serve(self):
        verbs = {
            "hello": self.hello,
            "have": self.have,
            "put": self.put,
            "open": self.open,
            "close": self.close,
            "library": self.library,
            "vendor_benchmark": self.vendor_benchmark,
            "load": self.forward,
            "first_invoke": self.forward,
            "evaluate": self.forward,
            "bench": self.forward,
            "placement": self.forward,
            "stats": self.forward,
        }
        while True:
            request = self.next_frame()[0]
            verb = request.get("verb")
            if verb == "quit":
                return
            try:
                if verb not in verbs:
                    raise Refused("protocol", "unknown verb %r" % (verb,))
                verbs[verb](request)
            except WorkerEnded as ended:
                self.reply(*ended.args)
            except Refused as error:
                self.reply({"type": "error", "code": error.args[0], "message": error.args[1]})
            except (KeyError, TypeError, ValueError, OSError) as error:
                message = "%s failed on the board: %s: %s" % (verb, type(error).__name__, error)
                self.reply({"type": "error", "code": "internal", "message": message})

    def hello(self, request):
        self.heartbeat_s = float(request["heartbeat_s"])
        self.store.limit_bytes = int(request["cache_limit_bytes"])
        self.caches.limit_bytes = int(request.get("graph_cache_limit_bytes", self.caches.limit_bytes))
        facts = board_facts(request["module"], self.agent_sha256)
        self.module = request["module"]
        self.reply({"type": "ok", "facts": facts, "vendor_benchmark": vendor_benchmark()})

    def have(self, request):
        self.reply({"type": "ok", "have": self.store.have(request["sha256"], self.tick)})

    def put(self, request):
        sha256, size = request["sha256"], int(request["size"])
        self.store.make_room(size)

        def pieces():
            self.reply({"type": "ok", "go": True})
            left = size
            while left > 0:
                header, payload = self.next_frame()
                if header.get("verb") != "data" or not 0 < len(payload) <= left:
                    raise ProtocolError("%r instead of data" % (header,))
                left -= len(payload)
                yield payload

        self.store.receive(sha256, pieces)
        if not self.store.have(sha256, self.tick):
            raise Refused("corrupt", "file %s cannot be read back" % sha256[:12])
        self.reply({"type": "ok"})

    def open(self, request):
        """Starts a worker. Its environment is set before the interpreter starts, so that it holds for libraries too."""
        if self.module is None:
            raise Refused("protocol", "open before hello")
        backend, folder = self.place_cache(request["backend"])
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
        environment.update(backend["env"])
        process = subprocess.Popen(
            [sys.executable, "-u", "-X", "faulthandler", os.path.abspath(__file__), "worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        ident = self.next_worker
        self.next_worker += 1
        self.children[ident] = Child(process)
        self.children[ident].cache = folder
        self.watch(self.children[ident])
        start = {"verb": "start", "module": self.module, "backend": backend}
        try:
            self.ask(ident, start, "start", float(request["deadline_s"]))
        except (Refused, WorkerEnded):
            if ident in self.children:
                self.remove(ident)
            raise
        self.reply({"type": "ok", "worker": ident})

    def library(self, request):
        self.reply({"type": "ok", "library": library_facts(request["path"], self.tick)})

    def vendor_benchmark(self, request):
        """Runs a vendor's benchmark on a model: no shell, in a group of its own that ends with the request."""
        backend, _ = self.place_cache(request["backend"])
        command = [request["program"], "--graph=" + self.store.need(request["model"])]
        command += [with_cache_text(word, self.caches.last) for word in request["arguments"]]
        process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "exec", str(os.getpid()), json.dumps(backend["affinity"])]
            + command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=dict(os.environ, **backend["env"]),
            start_new_session=True,
        )
        child = Child(process)
        child.open_pipes, child.log_limit = 1, PROGRAM_BYTES

        def read():
            data = os.read(process.stdout.fileno(), 1 << 18)
            if data:
                child.add_log(data)
            else:
                self.selector.unregister(process.stdout)
                child.open_pipes = 0

        self.selector.register(process.stdout, selectors.EVENT_READ, read)
        ends = time.monotonic() + float(request["deadline_s"])
        try:
            while not child.has_exited() and time.monotonic() < ends:
                self.pump(0.1)
                self.tick()
            late = not child.has_exited()
            code = child.kill()
            while child.open_pipes and self.pump(0.05):
                pass
        finally:
            child.kill()
            with contextlib.suppress(KeyError):
                self.selector.unregister(process.stdout)
            process.stdout.close()
        self.reply({"type": "ok", "code": None if late else code}, child.log_bytes())

    def place_cache(self, backend):
        """The backend with its graph cache's folder filled in, and that folder; None for a backend that names none."""
        if not wants_cache(backend):
            return backend, None
        in_use = {child.cache for child in self.children.values()}
        folder = self.caches.kept() if backend.get("cache") == "kept" else self.caches.fresh(in_use)
        return with_cache(backend, folder), folder

    def enforce_limit(self, ident, phase):
        """Ends a worker whose graph cache is too large, and empties the cache."""
        child = self.children[ident]
        problem = self.over_limit(child)
        if problem:
            try:
                self.fail(ident, phase, "exit", problem)
            finally:
                self.caches.empty(child.cache)

    def over_limit(self, child):
        """What is wrong with the size of a worker's graph cache, or None."""
        size = self.caches.measure(child.cache)[1] if child.cache else 0
        if size <= self.caches.limit_bytes:
            return None
        what = "the delegate's graph cache grew to %d bytes; limits.graph_cache_bytes of the profile allows %d"
        return what % (size, self.caches.limit_bytes)

    def forward(self, request):
        """Hands a request to a worker, with file hashes made into paths."""
        ident, verb = request["worker"], request["verb"]
        if ident not in self.children:
            raise Refused("protocol", "there is no worker %r" % (ident,))
        inner = {k: v for k, v in request.items() if k not in ("worker", "deadline_s")}
        if "model" in request:
            inner["path"] = self.store.need(request["model"])
        if "inputs" in request:
            inner["paths"] = [self.store.need(sha256) for sha256 in request["inputs"]]
        header, payload = self.ask(ident, inner, verb, float(request["deadline_s"]))
        self.reply(header, payload)

    def close(self, request):
        child = self.children.get(request["worker"])
        log = self.remove(request["worker"]) if child else b""
        answer = {"type": "ok"}
        if child and child.cache:
            answer["cache_files"], answer["cache_bytes"] = self.caches.measure(child.cache)
            answer["cache_problem"] = self.over_limit(child)  # a delegate may write when it is unloaded
            if answer["cache_problem"]:
                self.caches.empty(child.cache)
        self.reply(answer, log)

    # -- workers

    def ask(self, ident, request, phase, deadline_s):
        """Sends a worker a request and returns its answer; rows and progress pass through to the host.

        Raises:
            WorkerEnded: it crashed, left, hung, or the runtime raised.
            Refused: a setting is wrong.
        """
        child = self.children[ident]
        ends = time.monotonic() + deadline_s
        measured = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            write_frame(child.process.stdin.fileno(), request)
        while True:
            try:
                frame = child.buffer.pop()
            except ProtocolError as error:
                self.fail(ident, phase, "exit", "the worker sent something that is no frame: %s" % error)
            if frame is not None:
                header, payload = frame
                if header["type"] in ("rows", "progress"):
                    self.reply(header, payload)
                    continue
                if header["type"] != "error":
                    if phase in ("load", "first_invoke"):
                        self.enforce_limit(ident, phase)
                    return frame
                if header["code"] != "exception":
                    raise Refused(header["code"], header["message"])
                self.drain(child, 0.05)
                failure = {
                    "type": "failure",
                    "kind": "exception",
                    "phase": header.get("phase", phase),
                    "message": header["message"],
                }
                raise WorkerEnded(failure, child.log_bytes())
            left_s = ends - time.monotonic()
            if left_s <= 0:
                self.fail(ident, phase, "deadline", "no end of %s after %g s" % (phase, deadline_s))
            quiet = not self.pump(min(left_s, self.heartbeat_s / 2, 1.0))
            if child.silent or (quiet and child.has_exited()):
                self.drain(child, 0.2)
                if not self.complete(child):  # a last answer may have come with the end
                    self.fail(ident, phase, None, None)
            if child.cache and time.monotonic() - measured >= MEASURE_S:
                measured = time.monotonic()  # while it writes, not only when the board's disk is full
                self.enforce_limit(ident, phase)
            self.tick()

    @staticmethod
    def complete(child):
        """True when the buffer holds at least one whole frame."""
        data = child.buffer.data
        return len(data) >= LENGTHS.size and len(data) >= LENGTHS.size + sum(LENGTHS.unpack_from(data))

    def drain(self, child, timeout_s):
        """Takes in what is still in a worker's pipes: until both end, or nothing has come for `timeout_s`."""
        while child.open_pipes and self.pump(timeout_s):
            pass

    def fail(self, ident, phase, kind, message):
        """Kills and removes a worker, and says how it ended."""
        child = self.children[ident]
        name = None
        ends = time.monotonic() + 1.0
        while kind is None and not child.has_exited() and time.monotonic() < ends:
            time.sleep(0.01)  # it closed its pipes and is about to end
        exited = child.has_exited()
        code = child.kill()
        if kind is None and not exited:
            kind, message = "exit", "the worker closed its channel in %s without an answer" % phase
        elif kind is None and code < 0:
            kind = "signal"
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
            name = name or "signal %d" % -code
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            message = "the worker was ended by %s in %s%s" % (name, phase, hint)
        elif kind is None:
            kind = "exit"
            message = "the worker left by itself in %s with exit status %d" % (phase, code)
        log = self.remove(ident)
        failure = {"type": "failure", "kind": kind, "phase": phase, "signal": name, "message": message}
        raise WorkerEnded(failure, log)

    def remove(self, ident):
        """Ends a worker and everything in its group; returns its log."""
        child = self.children.pop(ident)
        with contextlib.suppress(OSError):
            child.process.stdin.close()
        ends = time.monotonic() + END_S
        while not child.has_exited() and time.monotonic() < ends:
            self.pump(0.02)
        child.kill()
        self.drain(child, 0.05)
        for pipe in (child.process.stdout, child.process.stderr):
            with contextlib.suppress(KeyError):
                self.selector.unregister(pipe)
            pipe.close()
        return child.log_bytes()

    def kill_all(self):
        for child in self.children.values():
            child.kill()


def supervise(root, agent_sha256):
    frames = take_frame_descriptor()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    with contextlib.suppress(OSError, ValueError):
        # One descriptor stays open per file in use.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    supervisor = Supervisor(frames, root, agent_sha256)
    try:
        supervisor.serve()
    except HostGone:
        pass
    except ProtocolError as error:
        sys.stderr.write("the host sent something that is no frame: %s\n" % error)
    finally:
        supervisor.kill_all()
        supervisor.caches.close()


def main():
    if sys.argv[1] == "worker":
        frames = take_frame_descriptor()
        prepare_worker_process(int(sys.argv[2]))
        Worker(frames).serve()
    elif sys.argv[1] == "exec":
        # Becomes a vendor's program, bound to its CPUs, that ends when this agent does.
        prepare_worker_process(int(sys.argv[2]))
        try:
            if json.loads(sys.argv[3]):
                os.sched_setaffinity(0, json.loads(sys.argv[3]))
            os.execv(sys.argv[4], sys.argv[4:])
        except OSError as error:
            sys.exit("%s cannot be run: %s" % (sys.argv[4], error.strerror))
    else:
        supervise(sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
