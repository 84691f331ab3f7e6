"""A sensor that sends each frame that it receives again, out of the same device, as a bridge in a guest does.

Usage: reflect.py DEVICE. Prints "ready" when it listens; runs until it is killed.
"""
import socket
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4

device = sys.argv[1]
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
tap.bind((device, 0))
print("ready", flush=True)
while True:
    frame, (_, _, kind, _, _) = tap.recvfrom(65536)
    if kind == PACKET_OUTGOING:
        continue
    try:
        tap.send(frame)
    except OSError:
        pass  # a super-packet that the device does not take in one piece
