"""paced_udp.py send ADDRESS PORT SECONDS [PER_SECOND]: sends some 2 Mbit/s of numbered datagrams, or so many in each
second, and prints how many.
paced_udp.py receive PORT QUIET: counts datagrams until none has come for QUIET seconds, and prints how many."""

import socket
import sys
import time

BATCH, PAUSE, SIZE = 2, 0.008, 1000


def send(address, port, seconds, per_second=None):
    batch, pause = (BATCH, PAUSE) if per_second is None else (1, 1 / float(per_second))
    count, due, end = 0, time.monotonic(), time.monotonic() + float(seconds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while due < end:
            for _ in range(batch):
                sender.sendto(count.to_bytes(4, "big").ljust(SIZE, b"."), (address, int(port)))
                count += 1
            due += pause
            time.sleep(max(0, due - time.monotonic()))
    print(count)


def receive(port, quiet):
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("", int(port)))
        print("ready", flush=True)
        # Whoever sends may still be starting.
        receiver.settimeout(30)
        try:
            while True:
                receiver.recv(2 * SIZE)
                receiver.settimeout(float(quiet))
                count += 1
        except TimeoutError:
            print(count)


{"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
