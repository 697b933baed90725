"""Which nodes of a model a delegate swallowed, as the interpreter's own node lists tell it."""


def node_list(interpreter):
    """[(op, inputs, outputs)] of every node, or None when this runtime does not tell."""
    try:
        details = interpreter._get_ops_details()
    except AttributeError:
        return None
    return [(d["op_name"], [int(t) for t in d["inputs"]], [int(t) for t in d["outputs"]]) for d in details]


def placement(before, after):
    """The answer to `placement`.

    The runtime keeps the original nodes and appends one named DELEGATE per partition: those there before
    allocation are the external delegate's, those that come with it XNNPACK's. The swallowed nodes are those found
    walking back from its outputs to its inputs.

    Args:
        before, after: `node_list` before and after `allocate_tensors`.
    """
    if before is None or after is None:
        return {"nodes": None, "note": "this runtime does not list its nodes"}
    nodes = [node for node in after if node[0] != "DELEGATE"]
    taken = swallowed(nodes, after, len(before))
    rows = []
    for number, (op, inputs, outputs) in enumerate(nodes):
        kind, partition = taken.get(number, ("cpu", None))
        row = {"node": number, "op": op, "on": kind, "partition": partition, "inputs": inputs, "outputs": outputs}
        rows.append(row)
    return {"nodes": rows, "external_partitions": sum(1 for node in before if node[0] == "DELEGATE")}


def swallowed(nodes, after, external_end):
    """{node number: (kind, partition)} of the original nodes that a DELEGATE node stands for."""
    producer = {t: number for number, node in enumerate(nodes) for t in node[2]}
    taken = {}
    partition = 0
    for number, (op, inputs, outputs) in enumerate(after):
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
    return taken
