"""numbers.py send ADDRESS RATE: sends numbered UDP datagrams to port 5000 until its standard input ends, then prints how
many it has sent.
numbers.py count DEVICE: collects the numbers that a device receives until its standard input ends, then prints JSON: the
numbers sent to port 5000 that were seen, how often one came twice, and how many frames came from port 5000."""

import json
import select
import socket
import sys
import time

PORT = 5000


def ended(timeout):
    return select.select([sys.stdin], [], [], timeout)[0] != []


if sys.argv[1] == "send":
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("", PORT))
    interval = 1 / float(sys.argv[3])
    number = 0
    due = time.monotonic()
    print("sending", flush=True)
    while not ended(max(0.0, due - time.monotonic())):
        sender.sendto(number.to_bytes(4, "big").ljust(64, b"."), (sys.argv[2], PORT))
        number += 1
        due = max(due + interval, time.monotonic() - 1)
    print(number)
else:
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    receiver.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    receiver.bind((sys.argv[2], 0))
    print("counting", flush=True)
    seen = {}
    answers = 0
    while True:
        ready = select.select([sys.stdin, receiver], [], [])[0]
        if receiver in ready:
            frame = receiver.recv(65536)
            if frame[12:14] != b"\x08\x00" or frame[23] != 17:
                continue
            if frame[36:38] == PORT.to_bytes(2, "big"):
                number = int.from_bytes(frame[42:46], "big")
                seen[number] = seen.get(number, 0) + 1
            else:
                answers += 1
        elif sys.stdin in ready:
            break
    print(json.dumps({"seen": sorted(seen), "twice": sum(n - 1 for n in seen.values()), "others": answers}))
