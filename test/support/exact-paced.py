"""exact-paced.py DEVICE SECONDS: sends frames, one line of hex each on standard input, out of a device, one every so many
seconds."""

import socket
import sys
import time

device, pause = sys.argv[1], float(sys.argv[2])
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((device, 0))
due = time.monotonic()
for line in sys.stdin:
    if not line.strip():
        continue
    due += pause
    time.sleep(max(0.0, due - time.monotonic()))
    sender.send(bytes.fromhex(line))
