"""A .tflite with several signatures, put together of several models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.tflite.cut.tree import Record, read_tree, write_tree


def signed(models: Mapping[str, bytes]) -> bytes:
    """One file of models without control flow: each is a subgraph, with a signature of its name. What it calls inputs and outputs
    are their tensors' names.
    """
    whole = Record("Model", version=3, buffers=[Record("Buffer")], operator_codes=[], subgraphs=[], signature_defs=[])
    for key, model in models.items():
        tree = read_tree(model)
        ((subgraph),) = tree.rows("subgraphs")
        buffers, codes = len(whole.rows("buffers")), len(whole.rows("operator_codes"))
        # Number 0 of a model stands for "no data", in the whole as well.
        whole.rows("buffers").extend(tree.rows("buffers")[1:])
        whole.rows("operator_codes").extend(tree.rows("operator_codes"))
        for tensor in subgraph.rows("tensors"):
            if tensor.number("buffer"):
                tensor["buffer"] = tensor.number("buffer") + buffers - 1
        for operator in subgraph.rows("operators"):
            operator["opcode_index"] = operator.number("opcode_index") + codes
        signature = Record("SignatureDef", signature_key=key.encode(), subgraph_index=len(whole.rows("subgraphs")))
        for field in ("inputs", "outputs"):
            signature[field] = [
                Record("TensorMap", name=subgraph.rows("tensors")[t]["name"], tensor_index=int(t))
                for t in np.asarray(subgraph[field])
            ]
        whole.rows("subgraphs").append(subgraph)
        whole.rows("signature_defs").append(signature)
    return bytes(write_tree(whole))
