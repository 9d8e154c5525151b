# SPDX-License-Identifier: Apache-2.0
"""Other work on the machine: endless loops, each a process, while a block of code runs."""

import contextlib
import os
import subprocess
import sys

# A loop ends by itself when the process that started it is gone, whatever ended that.
LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy_loops(count):
    loops = []
    try:
        for _ in range(count):
            loops.append(subprocess.Popen([sys.executable, "-S", "-c", LOOP, str(os.getpid())], stderr=subprocess.DEVNULL))
        yield
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
