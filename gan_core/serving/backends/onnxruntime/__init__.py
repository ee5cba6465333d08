"""ONNX Runtime behind the Open Inference Protocol (KServe v2) over HTTP, in this Python, where there is no Triton."""
