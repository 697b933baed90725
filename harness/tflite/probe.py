"""Asks a runtime which op versions and tensor types it knows: `python -m harness.tflite.probe PYTHON NAME VERSION`.

PYTHON is the interpreter of an environment with that runtime; the answer, as JSON on stdout, becomes the tables of a
data file in `runtimes/`. For each builtin op and version a minimal model that names it is offered to the interpreter: the
op resolver answers before any node exists. The rest of a data file (rules, custom ops, proven weights) comes from
running one-op models instead, as tests/tflite/test_features.py does; docs/reference/audit.md says how.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

from harness.core.errors import UserInputError
from harness.tflite import schema

_MAX_VERSION = 24

#: runs inside the runtime's environment: needs nothing but the runtime
_ASK = """
import base64, json, sys
try:
    from tflite_runtime.interpreter import Interpreter, OpResolverType
except ImportError:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
question = json.load(sys.stdin)
resolvers = {"reference": OpResolverType.BUILTIN_REF, "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
def accepts(model, resolver):
    try:
        Interpreter(model_content=base64.b64decode(model), experimental_op_resolver_type=resolver)
    except ValueError:
        return False
    return True
json.dump({kind: [key for key, model in question.items() if accepts(model, resolver)]
           for kind, resolver in resolvers.items()}, sys.stdout)
"""


def minimal_model(*, op_code: int = 0, version: int = 1, tensor_type: int = 0) -> bytes:
    """A .tflite of one tensor that is input and output, no node, and one operator code."""
    import flatbuffers

    builder = flatbuffers.Builder(256)

    def offsets(items: list[int]) -> int:
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return builder.EndVector()

    def numbers(items: list[int]) -> int:
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependInt32(item)
        return builder.EndVector()

    def table(**slots: tuple[str, int]) -> int:
        builder.StartObject(8)
        for slot, (kind, value) in slots.items():
            getattr(builder, f"Prepend{kind}Slot")(int(slot.removeprefix("s")), value, 0)
        return builder.EndObject()

    name, shape, one = builder.CreateString("x"), numbers([1]), numbers([0])
    buffers = offsets([table()])
    tensor = table(s0=("UOffsetTRelative", shape), s1=("Int8", tensor_type), s3=("UOffsetTRelative", name))
    tensors, operators = offsets([tensor]), offsets([])
    subgraph = table(
        s0=("UOffsetTRelative", tensors),
        s1=("UOffsetTRelative", one),
        s2=("UOffsetTRelative", one),
        s3=("UOffsetTRelative", operators),
    )
    code = {"s0": ("Int8", min(op_code, 127)), "s2": ("Int32", version), "s3": ("Int32", op_code)}
    codes, subgraphs = offsets([table(**code)]), offsets([subgraph])
    model = table(
        s0=("Uint32", 3),
        s1=("UOffsetTRelative", codes),
        s2=("UOffsetTRelative", subgraphs),
        s4=("UOffsetTRelative", buffers),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def probe(python: str, name: str, version: str) -> dict[str, Any]:
    """The tables of a data file, as told by the runtime installed for the interpreter `python`.

    Raises:
        UserInputError: when that interpreter does not run or has no runtime.
    """
    codes = schema.op_codes()
    models = {
        f"op {op} {v}": minimal_model(op_code=code, version=v)
        for op, code in codes.items()
        if op not in ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
        for v in range(1, _MAX_VERSION + 1)
    }
    models |= {f"type {schema.type_name(code)}": minimal_model(tensor_type=code) for code in range(21)}
    question = json.dumps({key: base64.b64encode(model).decode() for key, model in models.items()})
    try:
        done = subprocess.run(
            [python, "-c", _ASK], input=question, capture_output=True, text=True, timeout=300, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise UserInputError(f"the runtime could not be asked: {' '.join(detail)}", where=python) from None
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return {
        "runtime": name,
        "version": version,
        "tensor_types": [key.split()[1] for key in answer["builtin"] if key.startswith("type ")],
        "op_versions": {kind: _spans(keys) for kind, keys in answer.items()},
    }


def _spans(keys: list[str]) -> dict[str, list[int]]:
    """`op NAME VERSION` keys -> lowest and highest version of each op."""
    found: dict[str, list[int]] = {}
    for key in keys:
        kind, _, rest = key.partition(" ")
        if kind == "op":
            op, version = rest.split()
            found.setdefault(op, []).append(int(version))
    return {op: [min(versions), max(versions)] for op, versions in sorted(found.items())}


def main(arguments: list[str]) -> int:
    if len(arguments) != 3:
        print("usage: python -m harness.tflite.probe PYTHON NAME VERSION", file=sys.stderr)
        return 1
    print(json.dumps(probe(*arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
