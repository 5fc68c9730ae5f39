"""The examples that end by themselves or at the end of stdin: what the docs show works.

    examples_test.py COMMAND... -- PROGRAM... (heartbeat, completions, tasks, and natively
    foreign, nested and glib)
"""
import os
import re
import subprocess
import sys

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


run_tests([
    heartbeat_copies_and_counts,
    completions_echoes_and_counts,
    what_the_guide_to_tasks_says_is_so,
    *([foreign_is_answered_late_or_not_at_all, a_loop_inside_another, a_loop_inside_glibs]
      if NATIVE else []),
])
