"""
What a guest behind a tap does: opens the tap, takes so many frames out of it as a line of input says, or sends the frame
of a line `send HEX`. usage: tap-guest.py NAME [CHARACTER_DEVICE]; the latter is that of a macvtap device.
"""
import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

tap = os.open(sys.argv[2] if len(sys.argv) > 2 else "/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH14x", sys.argv[1].encode(), IFF_TAP | IFF_NO_PI))
print("open", flush=True)
for line in sys.stdin:
    if line.startswith("send "):
        os.write(tap, bytes.fromhex(line[5:]))
        continue
    for _ in range(int(line)):
        print(os.read(tap, 65536).hex(), flush=True)
