"""Runs models with and without the NPU stand-in in one process; a script for a runtime's own environment, not a test module.

Arguments: the runtime's module, the delegate's library, its options as JSON, an .npz with `count`, and for case i `model_i`
and `input_i_j`, and the .npz to write: for case i `delegated_i_k` and `plain_i_k` (outputs), or `error_i`.
Marks `case=N` on stderr before each, so that the stand-in's own lines can be told apart.
"""

import importlib
import json
import sys

import numpy as np


def run(runtime, model, inputs, delegates):
    interpreter = runtime.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_delegates=delegates,
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    for details, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


def main():
    module, library, options, source, target = sys.argv[1:]
    runtime = importlib.import_module(module + ".interpreter")
    cases = np.load(source, allow_pickle=False)
    results = {}
    for i in range(int(cases["count"])):
        inputs = []
        while f"input_{i}_{len(inputs)}" in cases:
            inputs.append(cases[f"input_{i}_{len(inputs)}"])
        model = cases[f"model_{i}"].tobytes()
        sys.stderr.write(f"case={i}\n")
        sys.stderr.flush()
        try:
            for k, output in enumerate(run(runtime, model, inputs, None)):
                results[f"plain_{i}_{k}"] = output
            delegate = runtime.load_delegate(library, json.loads(options))
            for k, output in enumerate(run(runtime, model, inputs, [delegate])):
                results[f"delegated_{i}_{k}"] = output
        except (RuntimeError, ValueError) as error:
            results[f"error_{i}"] = np.array(str(error))
    np.savez(target, **results)


if __name__ == "__main__":
    main()
