"""What a newcomer meets before Python code runs: the checks of the Makefile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def check_python(python: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / ".ci" / "check-python"
    return subprocess.run(
        ["/bin/sh", str(script), python], capture_output=True, text=True, check=False
    )


def test_the_running_python_is_accepted() -> None:
    assert check_python(sys.executable).returncode == 0


def test_a_missing_python_is_named_with_what_would_work() -> None:
    done = check_python("python-that-is-not-here")
    assert done.returncode == 1
    assert "no 'python-that-is-not-here'" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14"])
def test_an_unsupported_python_is_refused(version: str, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho {version}\n")
    fake.chmod(0o755)
    done = check_python(str(fake))
    assert done.returncode == 1
    assert f"is Python {version}" in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_documented_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for target in ("lab", "test", "test-gpu", "bench-solver", "fmt"):
        assert f"make {target} " in done.stdout
