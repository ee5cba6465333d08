"""One thin script a DVC stage: read the declaration, call the library, name the paths.

A stage ends with the pipeline that started it, also when that one is killed. Started by a Python that lacks the
project's packages, it says so in one sentence.
"""

from gan_core.runtime.errors import require
from gan_core.runtime.process import die_with_parent

require("torch", "omegaconf", "pydantic", "safetensors", "onnx")
die_with_parent()
