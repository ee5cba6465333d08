"""GAN Foundry's library: declare a game, train it, measure it, ship its generator. Imports nothing of its own by itself.

NumPy's OpenBLAS picks its kernels by the processor it finds, and figures then differ in their last digits from one
processor to the next, so it is told which: those of AVX2, before anybody imports NumPy.
"""

import os
import platform

if platform.machine() == "x86_64":
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
