"""odd_frames.py SOURCE-MAC DESTINATION-MAC: prints frames of many kinds as JSON, [what, hex] each. None is flooded by a
bridge without spanning tree: they go to the address given, or to one that bridges keep to themselves."""

import json
import sys

from scapy.all import (
    ARP,
    GRE,
    ICMP,
    IP,
    LLC,
    SNAP,
    STP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PPPoE,
    Raw,
)
from scapy.contrib.lldp import (
    LLDPDU,
    LLDPDUChassisID,
    LLDPDUEndOfLLDPDU,
    LLDPDUPortID,
    LLDPDUTimeToLive,
)
from scapy.contrib.mpls import MPLS

source, destination = sys.argv[1:]
ether = Ether(src=source, dst=destination)
ipv4 = IP(src="10.0.0.1", dst="10.0.0.5", id=7)
ipv6 = IPv6(src="fd00::1", dst="fd00::5")
full = Raw(bytes(i & 255 for i in range(1500)))
lldp = LLDPDUChassisID(subtype=LLDPDUChassisID.SUBTYPE_MAC_ADDRESS, id=source)
lldp = lldp / LLDPDUPortID(subtype=LLDPDUPortID.SUBTYPE_INTERFACE_NAME, id=b"eth0") / LLDPDUTimeToLive(ttl=120)

FRAMES = {
    "IPv4 UDP": ether / ipv4 / UDP(sport=1, dport=2) / b"payload",
    "IPv4 with options": ether / IP(src="10.0.0.1", dst="10.0.0.5", options=[b"\x94\x04\x00\x00"]) / ICMP(),
    "IPv4 first fragment": ether / IP(src="10.0.0.1", dst="10.0.0.5", flags="MF", proto=17) / Raw(b"f" * 64),
    "IPv4 later fragment": ether / IP(src="10.0.0.1", dst="10.0.0.5", frag=8, proto=17) / Raw(b"g" * 32),
    "IPv4 with a wrong checksum": ether / IP(src="10.0.0.1", dst="10.0.0.5", chksum=1) / UDP() / b"wrong",
    "IPv4 GRE": ether / ipv4 / GRE() / IP(src="1.1.1.1", dst="2.2.2.2") / ICMP(),
    "IPv6 UDP": ether / ipv6 / UDP(sport=1, dport=2) / b"payload",
    "IPv6 TCP SYN": ether / ipv6 / TCP(sport=1, dport=2, flags="S"),
    "IPv6 echo request": ether / ipv6 / ICMPv6EchoRequest(data=b"abc"),
    "IPv6 with destination options": ether / ipv6 / IPv6ExtHdrDestOpt() / UDP() / b"x",
    "IPv6 fragment": ether / ipv6 / IPv6ExtHdrFragment(offset=3, m=1, id=9) / Raw(b"h" * 24),
    "ARP request": ether / ARP(psrc="10.0.0.1", pdst="10.0.0.5"),
    "LLDP": Ether(src=source, dst="01:80:c2:00:00:0e") / lldp / LLDPDUEndOfLLDPDU(),
    "LACP": Ether(src=source, dst="01:80:c2:00:00:02", type=0x8809) / Raw(b"\x01\x01" + bytes(108)),
    "spanning tree in 802.3": Dot3(src=source, dst=destination) / LLC() / STP(),
    "SNAP in 802.3": Dot3(src=source, dst=destination) / LLC() / SNAP(code=0x2000) / Raw(b"neighbour" * 8),
    "MPLS": ether / MPLS(label=16, s=1, ttl=64) / ipv4 / UDP() / b"m",
    "PPPoE": ether / PPPoE(sessionid=5) / Raw(b"\x00\x21" + bytes(ipv4 / UDP())),
    "802.1Q IPv4": ether / Dot1Q(vlan=42, prio=5) / ipv4 / UDP() / b"tagged",
    "802.1Q IPv6": ether / Dot1Q(vlan=42) / ipv6 / UDP() / b"tagged",
    "802.1Q ARP": ether / Dot1Q(vlan=42) / ARP(psrc="10.0.0.1", pdst="10.0.0.5"),
    "802.1Q priority tag": ether / Dot1Q(vlan=0, prio=6) / ipv4 / UDP() / b"priority",
    "802.1ad and 802.1Q": ether / Dot1AD(vlan=7, prio=3) / Dot1Q(vlan=42, prio=1) / ipv4 / UDP() / b"two tags",
    "802.1Q twice": ether / Dot1Q(vlan=7) / Dot1Q(vlan=42) / ARP(psrc="10.0.0.1", pdst="10.0.0.5"),
    "unknown EtherType": ether / Raw(b"u" * 100),
    "unknown EtherType, full size": ether / full,
    "IPv4 UDP, full size": ether / ipv4 / UDP(sport=1, dport=2) / Raw(full.load[:1472]),
    "IPv6 UDP, full size": ether / ipv6 / UDP(sport=1, dport=2) / Raw(full.load[:1452]),
    "802.1Q IPv4, full size": ether / Dot1Q(vlan=42) / ipv4 / UDP() / Raw(full.load[:1472]),
    "one byte behind the header": ether / Raw(b"!"),
}
FRAMES["unknown EtherType"].type = FRAMES["unknown EtherType, full size"].type = 0x88B5
FRAMES["one byte behind the header"].type = 0x88B5

print(json.dumps([[what, bytes(frame).hex()] for what, frame in FRAMES.items()]))
