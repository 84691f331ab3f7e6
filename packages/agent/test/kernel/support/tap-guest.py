"""What a guest behind a tap does: opens the tap, and takes so many frames out of it as each line of input says."""
import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", sys.argv[1].encode(), IFF_TAP | IFF_NO_PI))
print("open", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        print(os.read(tap, 65536).hex(), flush=True)
