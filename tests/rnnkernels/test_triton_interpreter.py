"""The Triton kernels, interpreted on the CPU, against float64; a process apart, since it is global.

The interpreter multiplies bfloat16 wrongly, so float32 and float16 are checked here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("backend", ["triton", "alternating"])
def test_kernels_are_as_accurate_as_pytorch(backend: str) -> None:
    program = Path(__file__).with_name("interpreted.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, program, backend],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count(": ok\n") == 48
