"""What a model remembers from one inference to the next, as its file tells it.

The file is read here, by the few fields of the TensorFlow Lite schema that matter: a Python interpreter does not tell which
tensors are variables, and lists no op but those of the main graph. What cannot be read is taken for a model that remembers.
"""

import mmap
import struct

#: in tensors that are marked as variables: `reset_all_variables` puts them back
VARIABLES = "variables"
#: in resources (VAR_HANDLE): no call of the runtimes puts them back, a new interpreter does
RESOURCES = "resources"

CUSTOM, CALL_ONCE, ASSIGN_VARIABLE = 32, 129, 144

_INT8, _UINT16, _INT32, _UINT32 = struct.Struct("<b"), struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


def remembered(path):
    """VARIABLES, RESOURCES, or None for a model that remembers nothing."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return Model(data).remembers()
    except (OSError, ValueError, IndexError, struct.error):
        return VARIABLES


class Model:
    """A .tflite's tables, by their place in the file."""

    def __init__(self, data):
        self.data = data
        self.root = _UINT32.unpack_from(data, 0)[0]

    def remembers(self):
        codes = [max(self.number(code, 0, _INT8), self.number(code, 3, _INT32)) for code in self.tables(self.root, 1)]
        subgraphs = self.tables(self.root, 2)
        if ASSIGN_VARIABLE in codes and self.assigns(codes, subgraphs):
            return RESOURCES
        # A custom op may do as it likes with its tensors.
        if CUSTOM in codes or any(self.number(t, 5, _INT8) for graph in subgraphs for t in self.tables(graph, 0)):
            return VARIABLES
        return None

    def assigns(self, codes, subgraphs):
        """True when a resource is written anywhere but in graphs that run once, to give it its first value."""
        first, writers = set(), set()
        for number, graph in enumerate(subgraphs):
            for node in self.tables(graph, 3):
                code = codes[self.number(node, 0, _UINT32)]
                if code == CALL_ONCE:
                    options = self.field(node, 4)
                    first.add(self.number(self.target(options), 0, _INT32) if options else 0)
                elif code == ASSIGN_VARIABLE:
                    writers.add(number)
        return bool(writers - first)

    # -- the format: a table begins with the distance to its list of fields, a vector with its length

    def field(self, table, slot):
        """Where a field of a table is stored; 0: it has its default."""
        fields = table - _INT32.unpack_from(self.data, table)[0]
        if 4 + 2 * slot >= _UINT16.unpack_from(self.data, fields)[0]:
            return 0
        offset = _UINT16.unpack_from(self.data, fields + 4 + 2 * slot)[0]
        return offset and table + offset

    def number(self, table, slot, kind):
        at = self.field(table, slot)
        return kind.unpack_from(self.data, at)[0] if at else 0

    def target(self, at):
        return at + _UINT32.unpack_from(self.data, at)[0]

    def tables(self, table, slot):
        """The places of the tables in a vector of them."""
        at = self.field(table, slot)
        if not at:
            return []
        vector = self.target(at)
        count = _UINT32.unpack_from(self.data, vector)[0]
        if vector + 4 + 4 * count > len(self.data):
            raise ValueError("a vector ends behind the file")
        return [self.target(vector + 4 + 4 * index) for index in range(count)]
