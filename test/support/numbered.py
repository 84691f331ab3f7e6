"""numbered.py RATE LISTEN... -- ADDRESS:PORT...: sends numbered datagrams to every address, RATE a second to each, until it
is ended. LISTEN are ports that are taken so that nobody answers what arrives there with ICMP."""

import socket
import sys
import time

split = sys.argv.index("--")
rate = float(sys.argv[1])
listeners = []
for port in sys.argv[2:split]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", int(port)))
    listeners.append(listener)
targets = [(address, int(port)) for address, port in (target.split(":") for target in sys.argv[split + 1 :])]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = 0
due = time.monotonic()
while True:
    payload = number.to_bytes(4, "big").ljust(64, b".")
    for target in targets:
        try:
            sender.sendto(payload, target)
        except OSError:
            pass  # the device is down or gone for a moment
    number += 1
    due = max(due + 1 / rate, time.monotonic() - 1)
    time.sleep(max(0.0, due - time.monotonic()))
