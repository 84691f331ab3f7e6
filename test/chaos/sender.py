"""sender.py RUN FLOWS: sends numbered frames out of eth0. FLOWS is JSON, a list of {id, kind, first, fromMac, toMac, fromAddress}.

Reads commands on standard input, one a line: "go RATE" sends so many frames a second on each flow, "pause" stops and
prints how many were tried on each flow as JSON, end of input ends it. A device that vanishes and comes back is found again.
"""

import hashlib
import json
import select
import socket
import struct
import sys
import time

RUN = int(sys.argv[1])
FLOWS = json.loads(sys.argv[2])
MARK = b"MPCH"
ETHERTYPE = 0x88B5
# An address that no host has: whoever gets the frame drops it, and does not answer that nobody listens.
NOBODY = socket.inet_aton("10.0.250.250")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(flow, sequence):
    """Each is different from every other; one in eight is nearly as long as Ethernet allows."""
    digest = hashlib.sha256(struct.pack("!III", RUN, flow["id"], sequence)).digest()
    room = 1300 + digest[1] % 150 if digest[0] % 8 == 0 else 40 + digest[1]
    filling = (digest * (room // 32 + 1))[:room]
    payload = MARK + struct.pack("!III", RUN, flow["id"], sequence) + filling
    ether = bytes.fromhex(flow["toMac"].replace(":", "")) + bytes.fromhex(flow["fromMac"].replace(":", ""))
    if flow["kind"] == "raw":
        return ether + struct.pack("!H", ETHERTYPE) + payload
    udp = struct.pack("!HHHH", 5000 + flow["id"], 9, 8 + len(payload), 0) + payload
    source = socket.inet_aton(flow["fromAddress"])
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), sequence & 0xFFFF, 0, 64, 17, 0, source, NOBODY)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return ether + struct.pack("!H", 0x0800) + ip + udp


def open_socket():
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("eth0", 0))
    return sender


def main():
    tried = {flow["id"]: flow["first"] for flow in FLOWS}
    sender, rate, due = None, 0, 0.0
    while True:
        wait = max(0, due - time.monotonic()) if rate else None
        if select.select([sys.stdin], [], [], wait)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            command, *numbers = line.split()
            rate = float(numbers[0]) if command == "go" else 0
            due = time.monotonic()
            print(json.dumps(tried), flush=True)
            continue
        # Behind time, it does not hurry to catch up.
        due = max(due + 1 / rate, time.monotonic())
        for flow in FLOWS:
            data = frame(flow, tried[flow["id"]])
            tried[flow["id"]] += 1
            try:
                sender = sender or open_socket()
                sender.send(data)
            except OSError:
                if sender:
                    sender.close()
                sender = None


main()
