"""tail on a host or natively: what it shows of a file that grows.

    tail_test.py COMMAND... (which runs tail) [-- DIRECTORY, as the guest names it]
"""
import os
import subprocess
import sys
import tempfile

from guest import Guest, exit_code, needs, run_tests

COMMAND = sys.argv[1:]
HOST = COMMAND[1]
IS_GUEST = COMMAND[0].endswith("run")


class File:
    """A file that the program is started on, and can be appended to."""

    def __init__(self, text):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "log")
        self.append(text)

    def append(self, text, mode="a"):
        with open(self.path, mode, encoding="utf-8") as file:
            file.write(text)

    def tail(self):
        if not IS_GUEST:
            return Guest(COMMAND + [self.path])
        return Guest(COMMAND[:2] + ["--dir", self.directory.name] + COMMAND[2:] + ["log"])


def lines(first, last):
    return "".join(f"line {i}\n" for i in range(first, last))


def shows_the_last_lines_and_what_is_added():
    needs(HOST, "arguments")
    needs(HOST, "unbuffered")
    file = File(lines(0, 100))
    guest = file.tail()
    assert guest.process.stdout.read(len(lines(90, 100))).decode() == lines(90, 100)
    for i in range(100, 103):
        file.append(lines(i, i + 1))
        assert guest.process.stdout.read(len(lines(i, i + 1))).decode() == lines(i, i + 1)
    assert guest.finish() == 0, guest.rest
    assert guest.process.stdout.read() == b""


def a_file_that_is_written_anew_is_shown_anew():
    needs(HOST, "arguments")
    needs(HOST, "unbuffered")
    file = File(lines(0, 5))
    guest = file.tail()
    assert guest.process.stdout.read(len(lines(0, 5))).decode() == lines(0, 5)
    file.append("new\n", mode="w")
    assert guest.process.stdout.read(4) == b"new\n"
    assert guest.finish() == 0, guest.rest


def stdin_is_copied_to_its_end():
    data = lines(0, 50_000).encode()
    ended = subprocess.run(COMMAND, input=data, capture_output=True, timeout=60, check=True)
    assert ended.stdout == data


def a_missing_file_is_exit_code_2():
    needs(HOST, "arguments")
    file = File("")
    os.remove(file.path)
    guest = file.tail()
    code = guest.finish()
    assert code == exit_code(HOST, 2), (code, guest.rest)
    assert "opening failed" in guest.rest


run_tests([
    shows_the_last_lines_and_what_is_added,
    a_file_that_is_written_anew_is_shown_anew,
    stdin_is_copied_to_its_end,
    a_missing_file_is_exit_code_2,
])
