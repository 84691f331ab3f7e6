"""Sends a file over one TCP connection, and receives it.

transfer.py receive ADDRESS PORT              prints "listening", then the SHA-256 of what came
transfer.py send ADDRESS PORT FILE MEGABITS   at this rate at most, in writes of 128 KiB
"""

import hashlib
import socket
import sys
import time

CHUNK = 128 * 1024


def receive(address, port):
    with socket.create_server((address, port)) as server:
        print("listening", flush=True)
        connection, _ = server.accept()
        digest = hashlib.sha256()
        with connection:
            while data := connection.recv(CHUNK):
                digest.update(data)
        print(digest.hexdigest(), flush=True)


def send(address, port, path, megabits):
    seconds = CHUNK * 8 / (megabits * 1e6)
    with socket.create_connection((address, port)) as connection, open(path, "rb") as file:
        due = time.monotonic()
        while data := file.read(CHUNK):
            time.sleep(max(0, due - time.monotonic()))
            due += seconds
            connection.sendall(data)


if sys.argv[1] == "receive":
    receive(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
