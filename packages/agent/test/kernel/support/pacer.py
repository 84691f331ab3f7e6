"""pacer.py SECONDS DEVICE:FRAME...: sends each frame (hex) out of its device again and again, SECONDS apart, until standard
input ends. The last four bytes of a frame are its number, from 0. Prints as JSON how many were sent out of each device."""

import json
import select
import socket
import sys
import time

pause = float(sys.argv[1])
senders = []
for argument in sys.argv[2:]:
    device, frame = argument.split(":")
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((device, 0))
    senders.append((device, sender, bytes.fromhex(frame)[:-4]))

sent = dict.fromkeys((device for device, _, _ in senders), 0)
due = time.monotonic()
while not select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
    for device, sender, frame in senders:
        sender.send(frame + sent[device].to_bytes(4, "big"))
        sent[device] += 1
    due = max(due + pause, time.monotonic() - 0.1)
print(json.dumps(sent))
