"""Sockets of a host that gives a program a listening one: accept, recv, send,
shutdown and close.

    sockets_test.py HOST sockets.wasm
"""
import random
import socket
import sys
import threading

from guest import Guest, run_tests

HOST, PROGRAM = sys.argv[1:]
DATA = random.Random(2).randbytes(300_000)


def serve(count):
    with socket.socket() as probe:  # a port that is free
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    guest = Guest(["hosts/run", HOST, "--listen", f"127.0.0.1:{port}", PROGRAM, str(count)])
    guest.expect("ready 0")
    return guest, port


def echo(port, data, wrong):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data),
                                                  connection.shutdown(socket.SHUT_WR)))
        sender.start()
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        sender.join()
    if received != data:
        wrong.append(f"{len(received)} of {len(data)} bytes came back")


def one_connection_is_echoed_to_its_half_close():
    guest, port = serve(1)
    wrong = []
    echo(port, DATA, wrong)
    assert not wrong, wrong
    guest.expect("served 1")
    assert guest.finish() == 0


def twenty_connections_at_once_are_kept_apart():
    guest, port = serve(20)
    wrong = []
    clients = [threading.Thread(target=echo, args=(port, DATA[i:i + 50_000], wrong))
               for i in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not wrong, wrong
    guest.expect("served 20")
    assert guest.finish() == 0


run_tests([
    one_connection_is_echoed_to_its_half_close,
    twenty_connections_at_once_are_kept_apart,
])
