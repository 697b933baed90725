"""Runs an interpreter over samples: one by one for outputs, or again and again for time."""

import array
import gc
import mmap
import time

from agent.errors import Refused
from agent.frames import PIECE_BYTES, write_frame
from agent.samples import open_feeds
from agent.state import RESOURCES, VARIABLES

#: samples stay in memory for this much at a time
FED_BYTES = 4 << 20
BLOCK_ROWS = 4096
#: how often the host hears how far an evaluation is: each time takes a board with one core a hundredth of a second
PROGRESS_NS = 1_000_000_000
#: warm-up: a window is at least this long in samples and time
WINDOW_SAMPLES = 10
WINDOW_NS = 20_000_000
#: warm-up is over when the medians of three successive windows agree within this share, or within the clock's grain
STABLE_SHARE = 0.02
STABLE_NS = 100
#: sensors are not looked at more often than this: a look takes a slow board some milliseconds
LOOK_NS = 50_000_000


class Runs:
    """An interpreter and the samples it is fed. What the model remembers is put back outside of every measured time."""

    def __init__(self, np, interpreter, frames, remembers=None, renew=None, watch=None):
        """
        Args:
            remembers: what the model remembers from one inference to the next (`agent.state`).
            renew: makes another interpreter in the place of `interpreter`.
            watch: looks around while there is timing (`agent.watch`).
        """
        self.np = np
        self.interpreter = interpreter
        self.frames = frames
        self.remembers = remembers
        self.renew = renew
        self.watch = watch
        self.paths = None
        self.feeds = None
        self.invoked = False

    def set_feeds(self, paths):
        if self.feeds is None or paths != self.paths:
            self.feeds = open_feeds(self.np, self.interpreter.get_input_details(), paths)
            self.paths = paths

    def feed(self, row):
        """Sets every input to sample `row`."""
        for feed in self.feeds:
            self.interpreter.set_tensor(feed.index, feed.rows[row])

    def restart(self):
        """Puts the model into its initial state."""
        if self.remembers == VARIABLES:
            self.interpreter.reset_all_variables()
        elif self.remembers == RESOURCES:
            self.interpreter = None
            self.interpreter = self.renew()

    def timed_invoke(self):
        invoke, now = self.interpreter.invoke, time.perf_counter_ns
        began = now()
        invoke()
        ended = now()
        self.invoked = True
        return ended - began

    def first_invoke(self, request):
        self.set_feeds(request["paths"])
        if self.invoked:
            self.restart()
        self.feed(0)
        return {"first_invoke_ns": self.timed_invoke()}

    # -- outputs

    def evaluate(self, request):
        """Runs samples [start, start + count); sends rows in blocks so that the outputs never fill the memory.

        The model starts anew before every sample, or, where the request has `beginnings`, before these alone and the first.
        """
        self.set_feeds(request["paths"])
        start, count = request["start"], request["count"]
        if start < 0 or count < 1 or start + count > len(self.feeds[0].rows):
            total = len(self.feeds[0].rows)
            raise ValueError("samples %d to %d were asked for, the file holds %d" % (start, start + count, total))
        if not self.invoked:
            # Only after an invoke are the shapes of dynamic outputs known.
            self.feed(start)
            self.timed_invoke()
        outputs = self.output_kinds()
        kinds = [{"dtype": dtype.str, "shape": list(shape)} for _, dtype, shape in outputs]
        # Before the rows: the host takes no more of them than these types and shapes promise.
        write_frame(self.frames, {"type": "outputs", "outputs": kinds})
        beginnings = request.get("beginnings")
        self.beginnings = range(start, start + count) if beginnings is None else {start, *beginnings}
        self.next_progress = time.perf_counter_ns() + PROGRESS_NS if request.get("progress") else 1 << 62
        gc.disable()
        began = time.perf_counter_ns()
        try:
            self.run_blocks(start, count, outputs)
        finally:
            gc.enable()
        return {"elapsed_ns": time.perf_counter_ns() - began, "count": count}

    def output_kinds(self):
        """[(tensor index, dtype, shape of one row)] of every output, as the last invoke left them."""
        kinds = []
        for details in self.interpreter.get_output_details():
            value = self.interpreter.get_tensor(details["index"])
            if value.dtype.kind not in "biuf":
                raise ValueError("output %s is of type %s, which has no numbers" % (details["name"], value.dtype))
            kinds.append((details["index"], value.dtype, value.shape[1:] if value.shape[:1] == (1,) else value.shape))
        return kinds

    def run_blocks(self, start, count, outputs):
        """Runs the samples block by block, and sends each block's outputs and times."""
        sizes = [dtype.itemsize * int(self.np.prod(shape)) for _, dtype, shape in outputs]
        fed_bytes = sum(feed.rows[0].nbytes for feed in self.feeds)
        block = max(1, min(BLOCK_ROWS, PIECE_BYTES // max(max(sizes), 1), FED_BYTES // max(fed_bytes, 1)))
        for first in range(start, start + count, block):
            rows, times = self.run_block(first, min(first + block, start + count), outputs, start, count)
            for number, size in enumerate(sizes):
                data = b"".join(rows[number])
                if len(data) != len(times) * size:
                    raise ValueError("output %d has another shape for some samples" % number)
                self.send_rows(number, data)
            self.send_rows(-1, times.tobytes())
            for feed in self.feeds:
                if hasattr(feed.mapped, "madvise"):
                    # Samples already run would otherwise count as the worker's memory.
                    feed.mapped.madvise(mmap.MADV_DONTNEED)

    def run_block(self, first, end, outputs, start, count):
        """Runs samples [first, end). Nothing but `invoke` stands between the two clock readings.

        Returns the output arrays, a list per output, and the times.
        """
        rows, times = [[] for _ in outputs], array.array("q")
        if len(self.feeds) == len(outputs) == 1 and not self.remembers:
            self.run_single(list(self.feeds[0].rows[first:end]), outputs[0][0], rows[0], times, first - start, count)
        else:
            self.run_any(first, end, outputs, rows, times, start, count)
        return rows, times

    def run_single(self, values, output, rows, times, done, count):
        """The loop of nearly all models: one input, one output, nothing remembered. It is short because each line of it takes
        an emulated board a hundredth of a millisecond."""
        now, (set_tensor, invoke, get_tensor) = time.perf_counter_ns, self.calls()
        source = self.feeds[0].index
        take, add_time, next_progress = rows.append, times.append, self.next_progress
        for value in values:
            set_tensor(source, value)
            began = now()
            invoke()
            ended = now()
            add_time(ended - began)
            take(get_tensor(output))
            if ended >= next_progress:
                next_progress = self.report_progress(done + len(times), count)

    def run_any(self, first, end, outputs, rows, times, start, count):
        """The loop of all models."""
        now, (set_tensor, invoke, get_tensor) = time.perf_counter_ns, self.calls()
        beginnings = self.beginnings if self.remembers else ()
        takes = [(rows[number].append, kind[0]) for number, kind in enumerate(outputs)]
        for sample in range(first, end):
            if sample in beginnings:
                set_tensor = invoke = get_tensor = None  # they would keep an interpreter that is to be replaced
                self.restart()
                set_tensor, invoke, get_tensor = self.calls()
            for feed in self.feeds:
                set_tensor(feed.index, feed.rows[sample])
            began = now()
            invoke()
            ended = now()
            times.append(ended - began)
            for take, index in takes:
                take(get_tensor(index))
            if ended >= self.next_progress:
                self.report_progress(sample + 1 - start, count)

    def report_progress(self, done, count):
        """Tells the host; returns when it is to be told again."""
        write_frame(self.frames, {"type": "progress", "done": done, "total": count})
        self.next_progress = time.perf_counter_ns() + PROGRESS_NS
        return self.next_progress

    def calls(self):
        return self.interpreter.set_tensor, self.interpreter.invoke, self.interpreter.get_tensor

    def send_rows(self, output, data):
        for begin in range(0, len(data), PIECE_BYTES):
            write_frame(self.frames, {"type": "rows", "output": output}, memoryview(data)[begin : begin + PIECE_BYTES])

    # -- time

    def bench(self, request):
        """Warm-up until stable, then samples. The input is set before every invoke: some runtimes reuse its memory.

        Resources are put back once, before the warm-up: the first invoke of a new interpreter is no steady time.
        """
        if self.feeds is None:
            raise Refused("protocol", "bench needs a first_invoke or an evaluate before it")
        self.restart()
        gc.disable()
        try:
            warmup, stable = self.warm_up(request["warmup_max_ns"])
            samples, surroundings = self.watched(request["min_samples"], request["min_ns"], request["max_ns"])
        finally:
            gc.enable()
        self.send_rows(-2, warmup.tobytes())
        self.send_rows(-1, samples.tobytes())
        return {"warmup": len(warmup), "samples": len(samples), "stable": stable, "surroundings": surroundings}

    def watched(self, min_samples, min_ns, max_ns):
        """Times of successive invokes, and what went on meanwhile (None: nobody watches)."""
        if self.watch is None:
            return self.sample(min_samples, min_ns, max_ns), None
        self.watch.begin()
        samples = self.sample(min_samples, min_ns, max_ns, self.watch.look, max(min_ns // 2, LOOK_NS))
        return samples, self.watch.end()

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

    def sample(self, min_samples, min_ns, max_ns, look=None, look_ns=0):
        """Times of successive invokes: at least `min_samples` and `min_ns` of wall time, but none begun after `max_ns`.

        Every `look_ns` there is a `look`, between two invokes.
        """
        now, invoke, set_tensor = time.perf_counter_ns, self.interpreter.invoke, self.interpreter.set_tensor
        (source, value), *others = [(feed.index, feed.rows[0]) for feed in self.feeds]
        reset = self.interpreter.reset_all_variables if self.remembers == VARIABLES else None
        times = array.array("q")
        add_time = times.append
        began = now()
        next_look = look_ns if look is not None else 1 << 62
        while True:
            if reset is not None:
                reset()
            set_tensor(source, value)
            for index, other in others:
                set_tensor(index, other)
            before = now()
            invoke()
            after = now()
            add_time(after - before)
            elapsed = after - began
            if elapsed >= max_ns or (elapsed >= min_ns and len(times) >= min_samples):
                self.invoked = True
                return times
            if elapsed >= next_look:
                look()
                next_look = elapsed + look_ns
