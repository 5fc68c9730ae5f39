"""Drives a guest on a host, by lines that it prints and never by delays."""
import subprocess
import sys
import threading


class Guest:
    """A running guest. Its lines are those of stderr; each wait has a limit,
    after which the test fails instead of hanging."""

    LIMIT = 60  # seconds

    def __init__(self, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE)
        self.timer = threading.Timer(self.LIMIT, self.process.kill)
        self.timer.start()

    def line(self):
        """The next line, empty at the end."""
        return self.process.stderr.readline().decode().strip()

    def expect(self, *lines):
        for expected in lines:
            got = self.line()
            if got != expected:
                raise AssertionError(f"the guest said {got!r}, not {expected!r}")

    def skip_to(self, *expected):
        """The first line that is one of these."""
        while (got := self.line()) not in expected:
            if not got:
                raise AssertionError(f"the guest never said any of {expected}")

    def feed(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def finish(self):
        """The exit code."""
        if self.process.stdin:
            self.process.stdin.close()
        rest = self.process.stderr.read()
        code = self.process.wait()
        self.timer.cancel()
        self.rest = rest.decode()
        return code


# How hosts differ where a program cannot help it; see also hosts/hosts.sh.
# A write to a full stdout blocks the whole program.
BLOCKING_STDOUT = ("wasmtime", "wasmtime36", "jco", "wasmi")
# Which call a stdout without a reader that, sometimes or always.
IO_ERROR_FOR_BROKEN_PIPE = ("wasmtime", "wasmtime36", "wazero", "wasmi")
# What a host does not survive, or cannot show.
CANNOT = {
    ("jco", "broken pipe"): "a stdout without a reader ends this host",
    ("wasmtime36", "arguments"): "this host passes no arguments to a program",
    ("jco", "flush"): "this host exits before a slow reader has everything",
    ("wasmi", "null"): "polling /dev/null or a directory ends this host",
    ("wasmi", "unbuffered"): "this host buffers stdout by lines",
}
# WASI 0.2 knows success and failure only, and so does Wizer.
ONE_EXIT_CODE = ("jco", "wasmtime36")


def needs(host, what):
    if (host, what) in CANNOT:
        raise Skip(CANNOT[host, what])


def exit_code(host, code):
    return 1 if code and host in ONE_EXIT_CODE else code


class Skip(Exception):
    """With the reason."""


def run_tests(tests):
    """Runs functions, prints what fails and the RESULT line."""
    passed = failed = skipped = 0
    for test in tests:
        try:
            test()
            passed += 1
        except Skip as reason:
            skipped += 1
            print(f"1 skipped: {reason}")
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"{test.__name__}: {error!r}")
    print(f"RESULT passed={passed} failed={failed} skipped={skipped}")
    sys.exit(failed != 0)
