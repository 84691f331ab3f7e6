"""talk.py serve PORT: answers each message of TCP with as many bytes, for any number of connections.
talk.py say ADDRESS PORT COUNT SIZE PAUSE: sends COUNT messages, each PAUSE seconds behind the one before, and waits for
the answers. Prints how many bytes were answered.
talk.py try ADDRESS PORT COUNT PAUSE: connects COUNT times, and prints what came of it: {"refused": 5}."""

import collections
import json
import socket
import sys
import threading
import time


def serve(port):
    with socket.create_server(("", int(port)), backlog=64) as server:
        print("listening", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def say(address, port, count, size, pause):
    wanted = int(count) * int(size)
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender = threading.Thread(target=send, args=(connection, int(count), int(size), float(pause)))
        sender.start()
        got = 0
        try:
            while got < wanted and (data := connection.recv(1 << 16)):
                got += len(data)
        except OSError:
            pass
        connection.shutdown(socket.SHUT_RDWR)
        sender.join()
    print(got)


def send(connection, count, size, pause):
    due = time.monotonic()
    try:
        for _ in range(count):
            connection.sendall(b"x" * size)
            due += pause
            time.sleep(max(0, due - time.monotonic()))
    except OSError:
        pass


def attempt(address, port, count, pause):
    results = collections.Counter()
    for _ in range(int(count)):
        try:
            socket.create_connection((address, int(port)), timeout=float(pause)).close()
            results["accepted"] += 1
        except ConnectionRefusedError:
            results["refused"] += 1
        except OSError:
            results["none"] += 1
    print(json.dumps(results))


{"serve": serve, "say": say, "try": attempt}[sys.argv[1]](*sys.argv[2:])
