"""udp.py ADDRESS PORT COUNT SIZE [SEGMENTS]: sends COUNT datagrams of SIZE bytes; with SEGMENTS that many at a time as one
super-packet (UDP_SEGMENT), which the kernel cuts late."""

import socket
import sys

address, port, count, size, *segments = sys.argv[1:]
batch = int(segments[0]) if segments else 1
UDP_SEGMENT = 103  # include/uapi/linux/udp.h
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    if segments:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, int(size))
    for first in range(0, int(count), batch):
        numbers = range(first, first + batch)
        payload = b"".join(n.to_bytes(4, "big").ljust(int(size), b"%d" % (n % 10)) for n in numbers)
        sender.sendto(payload, (address, int(port)))
