"""The examples that end by themselves or at the end of stdin: what the docs show works.

    examples_test.py COMMAND... -- PROGRAM... (heartbeat, completions, tasks, and natively
    foreign, nested, glib, meter, tail and echo)
"""
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile

from guest import Skip, run_tests

SPLIT = sys.argv.index("--")
COMMAND = sys.argv[1:SPLIT]
HEARTBEAT, COMPLETIONS, TASKS, *NATIVE = sys.argv[SPLIT + 1:]
TEXT = b"".join(b"line %d\n" % i for i in range(2000))


def run(program, stdin):
    return subprocess.run(COMMAND + [program], input=stdin, capture_output=True, timeout=60,
                          check=True)


def heartbeat_copies_and_counts():
    ended = run(HEARTBEAT, TEXT)
    assert ended.stdout == TEXT
    assert re.fullmatch(rb"\d+ heartbeats\n", ended.stderr), ended.stderr
    assert run(HEARTBEAT, b"").stdout == b""


def completions_echoes_and_counts():
    ended = run(COMPLETIONS, TEXT)
    assert re.fullmatch(re.escape(TEXT) + rb"\d+ heartbeats\n", ended.stdout), ended.stdout[-80:]


def what_the_guide_to_tasks_says_is_so():
    assert run(TASKS, TEXT).stdout == TEXT


def inside_another_loop(program, said):
    """Both go on, and neither turns for nothing."""
    if not os.path.exists(program):
        raise Skip(f"{os.path.basename(program)} is not built, a library is missing")
    ended = run(program, b"")
    *asked, result = ended.stdout.splitlines()
    assert result == said, ended.stdout
    turns = re.fullmatch(rb"(\d+) turns\n", ended.stderr)
    if not asked:
        assert int(turns[1]) < 100, ended.stderr


def a_loop_inside_another():
    inside_another_loop(NATIVE[1], b"5 lines, 5 beats, 1 posts")


def a_loop_inside_glibs():
    inside_another_loop(NATIVE[2],
                        b"5 echoes, 5 beats of wev, as many of GLib, notified")


def foreign_is_answered_late_or_not_at_all():
    ended = run(NATIVE[0], b"")
    # A machine that is busy may let a question have its answer after all.
    answers = rb"7: 49\n8: (too late|answered)\n9: (cancelled|answered)\n"
    assert re.fullmatch(answers, ended.stdout), ended.stdout


# What cannot be written -----------------------------------------------------------------

def small_files():
    """From now on files have at most 512 bytes, and the process is not killed for more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))


def end(program, stdout, arguments=(), stdin=TEXT, **options):
    """How it ends; `stdin` it need not read to its end."""
    if not os.path.exists(program):
        raise Skip(f"{os.path.basename(program)} is not built, a library is missing")
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        return subprocess.run(COMMAND + [program, *arguments], stdin=source, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=60, check=False, **options)


def says_why(ended, *words):
    """It has failed, and says so."""
    assert ended.returncode != 0, (ended.returncode, ended.stderr)
    assert any(word in ended.stderr for word in words), ended.stderr


def where_the_disk_is_full(program, *arguments):
    with open("/dev/full", "wb") as full:
        says_why(end(program, full, arguments), b"No space left on device")


def where_a_write_is_short(program, *arguments):
    """All is in one write, which is short; another would fail."""
    with tempfile.TemporaryFile() as target:
        ended = end(program, target, arguments, TEXT[:1500], preexec_fn=small_files)
        says_why(ended, b"File too large")


def where_nobody_reads(program, *arguments):
    """A program that prints is ended by SIGPIPE, as others are; what writes through the loop
    is told."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = end(program, writer, arguments)
    os.close(writer)
    assert ended.returncode != 0, ended.stderr
    if ended.returncode > 0:
        says_why(ended, b"Broken pipe", b"the reader went away")


def each(test, *programs):
    """`test` for each of the programs, under its name."""
    def named(program, *arguments):
        def run_it():
            test(program, *arguments)
        run_it.__name__ = f"{os.path.basename(program)}_{test.__name__}"
        return run_it
    return [named(*program) for program in programs]


def natively(foreign, nested, glib, meter, tail, echo):
    copying = [(HEARTBEAT,), (COMPLETIONS,), (TASKS,), (meter,), (meter, "--quiet"), (tail,)]
    printing = [(foreign,), (nested,), (glib,), (echo, "serve")]
    return [
        foreign_is_answered_late_or_not_at_all, a_loop_inside_another, a_loop_inside_glibs,
        *each(where_the_disk_is_full, *copying, *printing),
        *each(where_a_write_is_short, *copying),
        *each(where_nobody_reads, *copying, *printing),
    ]


run_tests([
    heartbeat_copies_and_counts,
    completions_echoes_and_counts,
    what_the_guide_to_tasks_says_is_so,
    *(natively(*NATIVE) if NATIVE else []),
])
