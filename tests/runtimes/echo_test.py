"""echo, server and load, on a native backend.

    echo_test.py COMMAND... (which runs echo)
"""
import socket
import subprocess
import sys

from guest import run_tests

COMMAND = sys.argv[1:]


class Server:
    def __enter__(self):
        self.process = subprocess.Popen(COMMAND + ["serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # which ends it
        assert self.process.wait(timeout=60) == 0


def load(port, connections, round_trips):
    ended = subprocess.run(COMMAND + ["load", str(port), str(connections), str(round_trips)],
                           capture_output=True, text=True, timeout=120, check=False)
    print(ended.stdout.strip())
    return ended


def one_connection_and_many_are_echoed():
    with Server() as server:
        for connections, round_trips in ((1, 1000), (50, 100), (500, 3)):
            ended = load(server.port, connections, round_trips)
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.startswith(f"{connections * round_trips} round trips")


def a_client_that_stops_reading_is_no_matter_to_others():
    with Server() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.setblocking(False)
            try:
                while True:
                    slow.send(b"x" * 65536)
            except BlockingIOError:
                pass
            assert load(server.port, 10, 10).returncode == 0


def the_server_ends_with_connections_open():
    with Server() as server:
        socket.create_connection(("127.0.0.1", server.port))


def a_refused_connection_is_an_exit_code():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert load(closed.getsockname()[1], 3, 1).returncode == 2


def a_port_in_use_is_an_exit_code():
    with Server() as server:
        ended = subprocess.run(COMMAND + ["serve", str(server.port)], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2 and "listening failed" in ended.stderr, ended


def wrong_arguments_are_exit_code_1():
    for wrong in ([], ["serve", "x"], ["serve", "65536"], ["load"], ["load", "1", "0", "1"]):
        ended = subprocess.run(COMMAND + wrong, capture_output=True, text=True, timeout=60,
                               check=False)
        assert ended.returncode == 1 and "usage" in ended.stderr, wrong


run_tests([
    one_connection_and_many_are_echoed,
    a_client_that_stops_reading_is_no_matter_to_others,
    the_server_ends_with_connections_open,
    a_refused_connection_is_an_exit_code,
    a_port_in_use_is_an_exit_code,
    wrong_arguments_are_exit_code_1,
])
