"""The examples that need no peer: what the docs show works.

    examples_test.py COMMAND... -- PROGRAM... (heartbeat, completions, tasks[, foreign])
"""
import re
import subprocess
import sys

from guest import run_tests

SPLIT = sys.argv.index("--")
COMMAND = sys.argv[1:SPLIT]
HEARTBEAT, COMPLETIONS, TASKS, *FOREIGN = sys.argv[SPLIT + 1:]
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


def foreign_is_answered_late_or_not_at_all():
    ended = run(FOREIGN[0], b"")
    # A machine that is busy may let a question have its answer after all.
    answers = rb"7: 49\n8: (too late|answered)\n9: (cancelled|answered)\n"
    assert re.fullmatch(answers, ended.stdout), ended.stdout


run_tests([
    heartbeat_copies_and_counts,
    completions_echoes_and_counts,
    what_the_guide_to_tasks_says_is_so,
    *([foreign_is_answered_late_or_not_at_all] if FOREIGN else []),
])
