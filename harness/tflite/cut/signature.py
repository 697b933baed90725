"""One signature of a .tflite as a model of its own: its subgraph comes first, with what it calls, and nothing of the others.

Runtimes run the first subgraph unless they are asked by name, and boards without a file system of models cannot be asked at all.
So a signature is cut out once, and every kind of board runs the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.errors import UserInputError
from harness.tflite.cut.submodel import SubModel
from harness.tflite.cut.tree import Record, read_tree, write_tree

_ENDS = ("inputs", "outputs")


def one_signature(model: bytes | memoryview, name: str, *, description: str) -> bytes:
    """The .tflite of one signature, which keeps its name and those of its inputs and outputs.

    The same model and name give the same bytes.

    Args:
        model: the .tflite, with any number of signatures.
        name: the signature's key.
        description: what the new file says of itself.

    Raises:
        UserInputError: no such signature; names those that there are. A damaged model.
        UnsupportedError: tables that this harness cannot copy.
    """
    tree = read_tree(model)
    known = {row.text("signature_key"): row for row in tree.rows("signature_defs")}
    if name not in known:
        has = f"it has {', '.join(known)}" if known else "it has none: leave the name behind the file out"
        raise UserInputError(f"has no signature '{name}'", hint=has)
    signature = known[name]
    number, subgraphs = signature.number("subgraph_index"), tree.rows("subgraphs")
    if number >= len(subgraphs):
        raise UserInputError(f"is a corrupt .tflite file: signature '{name}' is subgraph {number} of {len(subgraphs)}")
    whole = subgraphs[number]
    inputs, outputs = whole.indices("inputs"), whole.indices("outputs")
    made = SubModel(tree, whole).build(whole.rows("operators"), tuple(inputs), tuple(outputs))
    made["description"] = description.encode()
    kept = signature.copy()
    kept["subgraph_index"] = 0
    (main, *_) = made.rows("subgraphs")
    for field in _ENDS:
        kept[field] = _renumbered(signature.rows(field), whole.indices(field), main.indices(field), name)
    made["signature_defs"] = [kept]
    return write_tree(made)


def _renumbered(rows: Sequence[Record], before: Sequence[int], after: Sequence[int], name: str) -> list[Record]:
    """The names of a signature's ends for the tensors as they are numbered now."""
    places = dict(zip(before, after, strict=True))
    found = []
    for row in rows:
        tensor = row.number("tensor_index")
        if tensor not in places:
            what = f"is a corrupt .tflite file: '{row.text('name')}' of signature '{name}' is tensor {tensor}"
            raise UserInputError(f"{what}, which is neither input nor output of its subgraph")
        copy = row.copy()
        copy["tensor_index"] = places[tensor]
        found.append(copy)
    return found
