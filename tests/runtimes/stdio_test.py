"""stdin and stdout on a host: pipes that are idle, full, closed; /dev/null, files.

    stdio_test.py COMMAND... (which runs stdio.wasm)
"""
import fcntl
import os
import subprocess
import sys
import tempfile

from guest import BLOCKING_STDOUT, IO_ERROR_FOR_BROKEN_PIPE, Guest, Skip, needs, run_tests

COMMAND = sys.argv[1:]
HOST = COMMAND[1]


def timers_go_on_while_stdin_is_idle_and_bytes_arrive():
    guest = Guest(COMMAND + ["lines"])
    guest.expect("ready")  # three beats passed with an idle pipe
    for text in (b"a", b"hello", b"x" * 100):
        guest.feed(text)
        guest.expect(f"got {len(text)}", "ready")
    guest.process.stdin.close()
    guest.skip_to("end")
    guest.process.stdin = None
    assert guest.finish() == 0


def stdin_that_is_closed_at_once_ends():
    guest = Guest(COMMAND + ["lines"])
    guest.process.stdin.close()
    guest.process.stdin = None
    guest.skip_to("end")
    assert guest.finish() == 0


def dev_null_as_stdin_ends():
    needs(HOST, "null")
    guest = Guest(COMMAND + ["lines"], stdin=subprocess.DEVNULL)
    guest.skip_to("end")
    assert guest.finish() == 0


def a_file_as_stdin_is_read_to_its_end():
    with tempfile.TemporaryFile() as file:
        file.write(b"y" * 10_000)
        file.seek(0)
        guest = Guest(COMMAND + ["lines"], stdin=file)
        total = 0
        while (line := guest.line()) != "end":
            assert line.startswith("got ") or line == "ready", line
            if line.startswith("got "):
                total += int(line[4:])
        assert total == 10_000, total
        assert guest.finish() == 0


def all_that_is_written_arrives_though_the_reader_is_slow():
    guest = Guest(COMMAND + ["write"])
    guest.expect("ready")  # the pipe is full by then; the timer goes on
    total = len(guest.process.stdout.read())
    assert total == 16 * 1024 * 1024, total
    assert guest.finish() == 0


def a_reader_that_goes_away_is_an_error():
    needs(HOST, "broken pipe")
    guest = Guest(COMMAND + ["write"])
    guest.process.stdout.read(1000)
    guest.process.stdout.close()
    guest.skip_to("broken_pipe", *(["io_error"] if HOST in IO_ERROR_FOR_BROKEN_PIPE else []))
    assert guest.finish() == 0


def stdout_to_a_file_is_whole():
    with tempfile.TemporaryFile() as file:
        guest = Guest(COMMAND + ["write"], stdout=file)
        assert guest.finish() == 0, guest.rest
        assert file.seek(0, 2) == 16 * 1024 * 1024


def the_wrong_direction_of_stdio_is_refused():
    guest = Guest(COMMAND + ["wrong"])
    guest.skip_to("bad_file_descriptor")
    guest.skip_to("bad_file_descriptor")
    guest.skip_to("done")
    assert guest.finish() == 0


def all_that_is_written_arrives_though_the_host_blocks():
    needs(HOST, "flush")
    guest = Guest(COMMAND + ["write"])
    total = len(guest.process.stdout.read())
    assert total == 16 * 1024 * 1024, total
    assert guest.finish() == 0


def timers_go_on_while_stdout_is_full():
    if HOST in BLOCKING_STDOUT:
        raise Skip("a write to a full stdout blocks this host")
    all_that_is_written_arrives_though_the_reader_is_slow()


def needs_own_open_files():
    if HOST not in ("io_uring", "epoll", "poll"):
        raise Skip("a host has flags of its own")


def is_nonblocking(fd):
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK != 0


def the_flags_of_stdout_stay_though_the_guest_is_killed():
    needs_own_open_files()
    reader, writer = os.pipe()
    guest = Guest(COMMAND + ["write"], stdout=writer)
    guest.expect("ready")  # the pipe is full by then
    assert not is_nonblocking(writer), "while it writes"
    guest.process.kill()
    guest.finish()
    assert not is_nonblocking(writer), "afterwards"
    os.close(reader)
    os.close(writer)


def two_guests_write_to_one_stdout():
    needs_own_open_files()
    reader, writer = os.pipe()
    guests = [Guest(COMMAND + ["write"], stdout=writer) for _ in range(2)]
    for guest in guests:
        guest.expect("ready")
    # As a shell does it for whoever comes next.
    os.set_blocking(writer, True)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        total = sum(len(part) for part in iter(lambda: file.read(65536), b""))
    assert total == 2 * 16 * 1024 * 1024, total
    for guest in guests:
        assert guest.finish() == 0


run_tests([
    the_flags_of_stdout_stay_though_the_guest_is_killed,
    two_guests_write_to_one_stdout,
    timers_go_on_while_stdin_is_idle_and_bytes_arrive,
    stdin_that_is_closed_at_once_ends,
    dev_null_as_stdin_ends,
    a_file_as_stdin_is_read_to_its_end,
    timers_go_on_while_stdout_is_full,
    all_that_is_written_arrives_though_the_host_blocks,
    a_reader_that_goes_away_is_an_error,
    stdout_to_a_file_is_whole,
    the_wrong_direction_of_stdio_is_refused,
])
