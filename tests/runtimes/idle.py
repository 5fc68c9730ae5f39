"""What an idle program costs on a host, in percent of a core, and what a bare
poll_oneoff does.

    idle.py HOST stdio.wasm bare_idle.wasm

The difference of two runs, a short and a long one, so that start-up drops out;
the median of three rounds in which both take turns.
"""
import resource
import statistics
import subprocess
import sys

SHORT, LONG = 500, 2000  # ms
HOST, PROGRAM, BARE = sys.argv[1:]


def cpu_seconds(program, milliseconds):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    guest = subprocess.Popen(["hosts/run", HOST, program, "idle", str(milliseconds)],
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    code = guest.wait(timeout=60)
    guest.stdin.close()
    if code != 0:
        sys.exit(f"the idle program ended with {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def percent(program):
    used = cpu_seconds(program, LONG) - cpu_seconds(program, SHORT)
    return max(used / ((LONG - SHORT) / 1000) * 100, 0)


rounds = [(percent(PROGRAM), percent(BARE)) for _ in range(3)]
loop, bare = (statistics.median(column) for column in zip(*rounds))
print(f"{loop:.1f} % ({bare:.1f} %)")
