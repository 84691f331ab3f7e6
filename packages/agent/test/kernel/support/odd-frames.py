"""Odd frames at random, most of them built by Scapy: odd-frames.py SEED COUNT LONGEST writes one a line, in hex.

LONGEST is the length of the longest frame without tags. Every kind comes at every length: runts, frames that end within
a header, whole ones, and those that are just as long as allowed.
"""
import logging
import random
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.compat import raw
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    PadN,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

seed, count, longest = (int(argument) for argument in sys.argv[1:4])
rng = random.Random(seed)
A = "02:00:00:00:0a:01"
B = "02:00:00:00:0b:02"


def noise(length):
    return rng.randbytes(max(0, length))


def ipv4():
    words = rng.choice([0, 0, 1, 3, 10])
    more = {}
    if rng.random() < 0.2:  # lengths and versions that lie
        more = rng.choice([{"len": rng.randrange(65536)}, {"ihl": rng.randrange(16)}, {"version": rng.randrange(16)}])
    if rng.random() < 0.1:
        more["frag"] = rng.randrange(1, 100)
    options = b"\x01" * (4 * words)
    return IP(src="10.0.0.1", dst="10.0.0.2", ttl=rng.randrange(256), options=options, **more)


def ipv6():
    packet = IPv6(src="fd00::1", dst="fd00::2")
    if rng.random() < 0.2:
        packet.plen = rng.randrange(65536)
    for _ in range(rng.choice([0, 1, 1, 2, 4, 6])):
        packet = packet / extension()
    return packet


def extension():
    kind = rng.randrange(6)
    lies = {"len": rng.randrange(256)} if rng.random() < 0.3 else {}
    if kind == 0:
        return IPv6ExtHdrHopByHop(options=[PadN(optdata=noise(rng.randrange(40)))], **lies)
    if kind == 1:
        return IPv6ExtHdrDestOpt(options=[PadN(optdata=noise(rng.randrange(250)))], **lies)
    if kind == 2:
        return IPv6ExtHdrFragment(id=rng.randrange(2**32), offset=rng.choice([0, 0, 7]), m=rng.randrange(2))
    if kind == 3:
        return IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=rng.randrange(2**32))], **lies)
    return IPv6ExtHdrRouting(addresses=["fd00::3"] * rng.randrange(0, 90), **lies)


def transport():
    return rng.choice(
        [
            lambda: TCP(sport=1, dport=2, flags=rng.randrange(256), dataofs=rng.choice([5, 5, 0, 15])),
            lambda: UDP(sport=4000, dport=4001),
            lambda: UDP(sport=4000, dport=4001, len=rng.randrange(65536)),
            lambda: UDP(sport=4789, dport=4789) / VXLAN(vni=9) / Ether(src=B, dst=A) / ip(),
            lambda: ICMP(),
            lambda: GRE(proto=0x0800) / ip(),
            lambda: GRE(proto=0x6558) / Ether(src=B, dst=A) / ip(),
            lambda: ip(),
            lambda: Raw(b""),
        ]
    )()


def ip():
    return rng.choice([ipv4, ipv6])() / transport()


def body():
    """Ethernet type and what is behind it."""
    kind = rng.randrange(14)
    if kind < 5:
        packet = ip()
        return (0x0800 if packet.name == "IP" else 0x86DD), raw(packet)
    if kind == 5:
        return rng.choice([0x0800, 0x86DD]), b""  # nothing but noise behind
    if kind == 6:
        return rng.choice([0x8847, 0x8848]), raw(MPLS(label=100, s=rng.randrange(2), ttl=64) / ip())
    if kind == 7:
        return 0x8864, raw(PPPoE(sessionid=5) / PPP(proto=rng.choice([0x21, 0x57])) / ip())
    if kind == 8:
        return 0x0806, raw(ARP(psrc="10.0.0.1", pdst="10.0.0.9"))
    if kind == 9:
        return rng.randrange(0, 1501), raw(rng.choice([LLC() / STP(), LLC(dsap=0xAA, ssap=0xAA) / SNAP() / ip()]))
    if kind == 10:
        return 0x4305, noise(10) + raw(Ether(src=A, dst=B) / ip())  # B.A.T.M.A.N., which the kernel looks into
    return rng.randrange(1536, 65536), b""


def tags():
    """None, one or two, as wire bytes in front of the Ethernet type."""
    chosen = rng.choice([[], [], [], [0x8100], [0x88A8], [0x88A8, 0x8100], [0x8100, 0x8100]])
    return b"".join(kind.to_bytes(2, "big") + rng.randrange(65536).to_bytes(2, "big") for kind in chosen)


def length():
    return rng.choice(
        [
            lambda: rng.randrange(0, 60),
            lambda: rng.randrange(0, 60),
            lambda: rng.randrange(0, longest - 14),
            lambda: longest - 14 - rng.randrange(0, 90),
            lambda: longest - 14,
            lambda: longest - 14,
        ]
    )()


def frame():
    kind, start = body()
    if kind in (0x8100, 0x88A8, 0x9100, 0x9200):
        kind += 1
    addresses = raw(Ether(src=A, dst=rng.choice([B, B, "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:05"])))[:12]
    tagged = tags()
    # Over its MTU an interface takes one tag of 802.1Q, and a packet socket none of another kind.
    room = 4 if tagged[:2] == b"\x81\x00" else 0
    size = max(0, length() - max(0, len(tagged) - room))
    content = (start + noise(size))[:size]
    return addresses + tagged + kind.to_bytes(2, "big") + content


for _ in range(count):
    print(frame().hex())
