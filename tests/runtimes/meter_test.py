"""meter on a host: what it copies, and its exit codes.

    meter_test.py COMMAND... (which runs meter.wasm)
"""
import hashlib
import os
import random
import subprocess
import sys
import tempfile

from guest import IO_ERROR_FOR_BROKEN_PIPE, Guest, exit_code, needs, run_tests

COMMAND = sys.argv[1:]
HOST = COMMAND[1]
DATA = random.Random(1).randbytes(3_000_000)


def copies_a_file_to_a_file():
    needs(HOST, "arguments")
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(DATA)
        source.seek(0)
        guest = Guest(COMMAND + ["--size", str(len(DATA))], stdin=source, stdout=target)
        assert guest.finish() == 0, guest.rest
        target.seek(0)
        assert target.read() == DATA
        assert "100 %" in guest.rest, guest.rest


def copies_a_pipe_to_a_pipe():
    ended = subprocess.run(COMMAND, input=DATA, capture_output=True, timeout=60, check=True)
    assert hashlib.sha256(ended.stdout).digest() == hashlib.sha256(DATA).digest()
    assert b"MiB/s" in ended.stderr, ended.stderr


def copies_a_slow_pipe_and_draws_meanwhile():
    needs(HOST, "unbuffered")
    guest = Guest(COMMAND)
    for _ in range(3):
        guest.feed(b"slow")
        assert guest.process.stdout.read(4) == b"slow"
        while guest.process.stderr.read(1) != b"\r":  # drawn, though stdin is idle
            pass
    assert guest.finish() == 0


def copies_nothing_from_dev_null():
    needs(HOST, "null")
    guest = Guest(COMMAND, stdin=subprocess.DEVNULL)
    assert guest.finish() == 0, guest.rest
    assert guest.process.stdout.read() == b""


def writes_to_dev_null():
    ended = subprocess.run(COMMAND, input=DATA, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, timeout=60, check=True)
    assert b"2.9 MiB" in ended.stderr, ended.stderr


def a_vanished_reader_has_its_exit_code():
    needs(HOST, "broken pipe")
    needs(HOST, "arguments")
    guest = Guest(COMMAND + ["--quiet"])
    guest.process.stdout.close()
    try:
        for _ in range(100):
            guest.feed(DATA[:100_000])
    except BrokenPipeError:
        pass
    guest.process.stdin = None
    code = guest.finish()
    allowed = (3, 4) if HOST in IO_ERROR_FOR_BROKEN_PIPE else (4,)
    assert code in allowed, (code, guest.rest)


def a_directory_as_stdin_is_exit_code_2():
    needs(HOST, "null")
    directory = os.open("/", os.O_RDONLY)
    guest = Guest(COMMAND, stdin=directory)
    assert guest.finish() == exit_code(HOST, 2), guest.rest
    os.close(directory)


def wrong_arguments_are_exit_code_1():
    needs(HOST, "arguments")
    for wrong in (["--size"], ["--size", "big"], ["--what"]):
        guest = Guest(COMMAND + wrong)
        assert guest.finish() == 1, wrong
        assert "usage" in guest.rest


run_tests([
    copies_a_file_to_a_file,
    copies_a_pipe_to_a_pipe,
    copies_a_slow_pipe_and_draws_meanwhile,
    copies_nothing_from_dev_null,
    writes_to_dev_null,
    a_vanished_reader_has_its_exit_code,
    a_directory_as_stdin_is_exit_code_2,
    wrong_arguments_are_exit_code_1,
])
