"""What a program of one timer imports and weighs, as the README says.

    imports_test.py timer_only.wasm README.md
"""
import re
import subprocess
import sys
from pathlib import Path

from guest import run_tests

PROGRAM, README = sys.argv[1:]
# The loop's own (fd_write for a failed assertion), and the exit of wasi-libc.
ALLOWED = {"clock_time_get", "poll_oneoff", "fd_write", "proc_exit"}


def only_the_clock_the_poll_and_exit_are_imported():
    listing = subprocess.run(["wasm-objdump", "-x", "-j", "Import", PROGRAM], check=True,
                             capture_output=True, text=True).stdout
    imports = set(re.findall(r"<- wasi_snapshot_preview1\.(\w+)", listing))
    print("imports:", " ".join(sorted(imports)))
    assert imports <= ALLOWED, sorted(imports - ALLOWED)
    assert "poll_oneoff" in imports


def the_readme_says_its_size():
    size = Path(PROGRAM).stat().st_size
    print(f"size: {size} bytes")
    said = re.search(r"timer-only program[^.]*?([\d,]+) bytes", Path(README).read_text())
    assert said, "the README does not say it"
    said = int(said[1].replace(",", ""))
    # One release of the compiler makes a tenth more or less of the same code.
    assert said * 0.8 < size < said, f"{size} bytes, the README says less than {said}"


run_tests([only_the_clock_the_poll_and_exit_are_imported, the_readme_says_its_size])
