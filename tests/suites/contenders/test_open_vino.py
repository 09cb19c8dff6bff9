"""The cases of OpenVINO run in a process of their own: after a conversion a signal may end the process."""

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("open_vino_cases.py")


def test_every_case_passes_in_a_process_of_its_own():
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
