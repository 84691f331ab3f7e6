"""Sends over sockets, and receives.

transfer.py receive ADDRESS PORT           TCP: prints "listening", then the SHA-256 of what came
transfer.py send ADDRESS PORT FILE MEGABITS [MSS]
transfer.py sink ADDRESS PORT              UDP: prints "listening"; at end of input, the datagrams and bytes that came
transfer.py udp ADDRESS PORT SEGMENT LENGTH COUNT   UDP: COUNT writes of LENGTH bytes, cut by the kernel (UDP_SEGMENT);
                                                 SEGMENT 0: as they are
transfer.py probe-udp-gso                  prints "yes" where the kernel has UDP_SEGMENT
"""

import hashlib
import select
import socket
import sys
import time

CHUNK = 128 * 1024
UDP_SEGMENT = 103


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(address, port):
    with socket.create_server((address, port), family=family(address)) as server:
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


def sink(address, port):
    with socket.socket(family(address), socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        receiver.bind((address, port))
        print("listening", flush=True)
        packets = total = 0
        ending = False
        while True:
            ready, _, _ = select.select([receiver, sys.stdin] if not ending else [receiver], [], [], 0 if ending else None)
            if receiver in ready:
                packets += 1
                total += len(receiver.recv(65536))
            elif ending:
                break
            elif sys.stdin in ready:
                ending = True
        print(packets, total, flush=True)


def udp(address, port, segment, length, count):
    with socket.socket(family(address), socket.SOCK_DGRAM) as sender:
        if segment:
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
        sender.connect((address, port))
        for i in range(count):
            block = (i.to_bytes(4, "big") + hashlib.sha256(bytes([i & 255])).digest()) * (length // 36 + 1)
            sender.send(block[:length])


def probe():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    print("yes")


what, *args = sys.argv[1:]
if what == "receive":
    receive(args[0], int(args[1]))
elif what == "send":
    send(args[0], int(args[1]), args[2], float(args[3]))
elif what == "sink":
    sink(args[0], int(args[1]))
elif what == "udp":
    udp(args[0], *map(int, args[1:]))
elif what == "probe-udp-gso":
    probe()
else:
    sys.exit(f"unknown: {what}")
