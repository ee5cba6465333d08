"""A Triton backend in Python that runs ONNX models through ONNX Runtime on the CPU.

It stands in, on a machine without a GPU, for the backend of the same name in NVIDIA's image, so that the same
repository loads unmodified. It runs in the server's own environment and imports nothing of this project.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One loaded model."""

    def initialize(self, args):
        """Load ``model.onnx`` of the version asked for."""
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        options = onnxruntime.SessionOptions()
        if (count := sum(group["count"] for group in config["instance_group"])) > 1:
            options.intra_op_num_threads = max(1, len(os.sched_getaffinity(0)) // count)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the server needs the cores, too
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [(i["name"], "reshape" in i) for i in config["input"]]
        self.output = config["output"][0]["name"]

    def execute(self, requests):
        """All waiting requests as one batch: that is what dynamic batching collected them for."""
        try:
            return self.answer(requests)
        except Exception as error:  # whatever it is, only the request that caused it gets it, and the server goes on
            if len(requests) > 1:
                return [self.execute([request])[0] for request in requests]
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))]

    def answer(self, requests):
        """One run for all requests, cut again into one response each."""
        columns = {name: [self.column(r, name, scalar) for r in requests] for name, scalar in self.inputs}
        counts = [len(column) for column in columns[self.inputs[0][0]]]
        feed = {name: np.concatenate(parts) for name, parts in columns.items()}
        (out,) = self.session.run([self.output], feed)
        parts = np.split(out, np.cumsum(counts)[:-1])
        return [pb_utils.InferenceResponse([pb_utils.Tensor(self.output, part)]) for part in parts]

    @staticmethod
    def column(request, name, scalar):
        """One input of one request, one row a sample."""
        value = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
        return value.reshape(len(value)) if scalar else value
