"""How much memory a cell takes on top of a process that has imported the runtime and nothing more.

The kernel keeps a high-water mark of a process's resident memory (VmHWM). What was there before the model is taken off:

- anonymous memory as it was; a forked worker shares it with the fork server until either writes to it;
- pages of the files that were mapped then: the code of Python, numpy and the runtime. They are the page cache's, and a forked
  worker maps them one by one as it touches them, where a fresh one has most of them from its import.

What is left is what the model and its delegate take: tensors, packed weights, the mapped model, the delegate's libraries. A
forked worker and a fresh one give the same figure, but for some 100 kB: of heap, and of the kernel's own rounding.
"""

import mmap
import re

from agent.facts import read_text

#: a line of /proc/self/maps that belongs to a file: its addresses; its device and inode
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+ [1-9]\d*)\b", re.MULTILINE)
MAPS_BYTES = 8 << 20
#: an entry of /proc/self/pagemap has 8 bytes, of which the last says: the page is here (bit 63), and still the file's (bit 61)
ENTRY_BYTES = 8
PRESENT_OF_FILE = 0x80 | 0x20


def status(*fields):
    """Figures of /proc/self/status in bytes, None for those that are not there."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", read_text("/proc/self/status") or "", re.MULTILINE))
    return [int(found[field]) * 1024 if field in found else None for field in fields]


def mappings():
    """[(first address, end address, file)] of mapped files, addresses in hexadecimal."""
    return MAPPING.findall(read_text("/proc/self/maps", MAPS_BYTES) or "")


class Imported:
    """A process that has imported the runtime: what it holds, and the files that are mapped."""

    def __init__(self):
        self.resident = status("VmRSS")[0]
        self.files = {file for _, _, file in mappings()}


class Baseline:
    """This process as it is before its model.

    A kernel without `clear_refs` and `pagemap` (CONFIG_PROC_PAGE_MONITOR), or before Linux 4.5, tells less: there the peak is
    an upper bound, because it holds the import's own peak, or code that the model was the first to touch.
    """

    def __init__(self, imported):
        """Forgets the peak of the import, where the kernel lets a process do so.

        Args:
            imported: of the process that imported the runtime: this one, or the fork server.
        """
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass
        self.files = imported.files
        self.resident, self.anonymous = status("VmRSS", "RssAnon")

    def peak_bytes(self):
        """The high-water mark since, without what was there; None on a kernel that keeps none."""
        peak, files = status("VmHWM", "RssFile")
        if peak is None or self.resident is None:
            return None
        own = self.own_file_bytes()
        if own is None or self.anonymous is None:
            return max(peak - self.resident, 0)
        return max(peak - self.anonymous - (files - own), 0)

    def own_file_bytes(self):
        """Resident bytes of the files that were mapped since; None on a kernel that does not tell."""
        pages = 0
        try:
            with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
                for start, end, file in mappings():
                    if file not in self.files:
                        first = int(start, 16) // mmap.PAGESIZE
                        pagemap.seek(first * ENTRY_BYTES)
                        entries = pagemap.read((int(end, 16) // mmap.PAGESIZE - first) * ENTRY_BYTES)
                        flags = entries[ENTRY_BYTES - 1 :: ENTRY_BYTES]
                        pages += sum(flags.count(f) for f in set(flags) if f & PRESENT_OF_FILE == PRESENT_OF_FILE)
        except OSError:
            return None
        return pages * mmap.PAGESIZE
