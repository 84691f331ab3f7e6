"""numbered.py ADDRESS STREAM INTERVAL: sends numbered packets, as `probe` in a QEMU machine does, one every so many seconds, until
a line comes on standard input; then prints how many were sent."""

import select
import socket
import struct
import sys
import time

address, stream, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
MAGIC = 0x6D706E72
DISCARD_PORT = 9
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if address == "255.255.255.255":
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    # No route leads there: the device has to be named.
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
number, due = 0, time.monotonic()
while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
    sender.sendto(struct.pack("!III", MAGIC, stream, number), (address, DISCARD_PORT))
    number += 1
    due += interval
print(number)
