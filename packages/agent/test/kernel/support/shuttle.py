"""shuttle.py DEVICE=ADDRESS...: carries IPv4 packets between TUN devices, each to the device of its destination."""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN = 1
IFF_NO_PI = 0x1000

by_address = {}
for argument in sys.argv[1:]:
    device, address = argument.split("=")
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", device.encode(), IFF_TUN | IFF_NO_PI))
    by_address[socket.inet_aton(address)] = fd
print("ready", flush=True)
while True:
    for fd in select.select(list(by_address.values()), [], [])[0]:
        packet = os.read(fd, 65535)
        target = by_address.get(packet[16:20])
        if target is not None:
            os.write(target, packet)
