"""Weights of an ONNX graph rounded to eight bits, each output channel with a scale of its own.

Activations stay as they are, so the answers change little (symmetric weight-only rounding; Jacob et al.,
2018). A runtime widens the weights again when it loads them, or multiplies them as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_LEAST_VALUES = 1024
"""Smaller tensors are not worth a scale."""
_MOST = 127


def round_weights(file: Path) -> int:
    """Rewrite the file with its linear layers and embedding tables in int8; how many were rounded."""
    import onnx
    from onnx import helper, numpy_helper

    model: Any = onnx.load(str(file))
    graph = model.graph
    axis_of = _axes(graph)
    rounded = 0
    for given in list(graph.initializer):
        weights = numpy_helper.to_array(given)
        if given.name not in axis_of or weights.ndim != 2 or weights.size < _LEAST_VALUES:
            continue
        axis = axis_of[given.name]
        scale = np.maximum(np.abs(weights).max(axis=1 - axis), 1e-12) / _MOST
        shaped = scale[None, :] if axis == 1 else scale[:, None]
        whole = np.clip(np.rint(weights / shaped), -_MOST, _MOST).astype(np.int8)
        name = given.name
        graph.initializer.remove(given)
        graph.initializer.append(numpy_helper.from_array(whole, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        parts = [f"{name}.int8", f"{name}.scale"]
        graph.node.insert(0, helper.make_node("DequantizeLinear", parts, [name], axis=axis))
        rounded += 1
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return rounded


def _axes(graph: Any) -> dict[str, int]:
    """The axis of output channels of each tensor that a linear layer or a table of embeddings uses."""
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "MatMul":
            found[node.input[1]] = 1
        elif node.op_type == "Gemm":
            turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            found[node.input[1]] = 0 if turned else 1
        elif node.op_type == "Gather":
            found[node.input[0]] = 0
    return found
