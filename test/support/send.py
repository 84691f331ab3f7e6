"""send.py DEVICE: sends frames, one line of hex each on standard input, out of a device as they are."""

import socket
import sys

sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((sys.argv[1], 0))
for line in sys.stdin:
    if line.strip():
        sender.send(bytes.fromhex(line))
