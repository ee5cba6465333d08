"""GAN Foundry's library: declare a game, train it, measure it, ship its generator. Imports nothing of the project.

NumPy's OpenBLAS picks kernels by the processor and threads by its cores, and figures then differ in their last digits
from one machine to the next. So it is told both, before anybody imports NumPy: the kernels of AVX2, one thread.
"""

import os
import platform

os.environ["OPENBLAS_NUM_THREADS"] = "1"
if platform.machine() == "x86_64":
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
