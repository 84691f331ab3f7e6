"""Frames built by Scapy, an implementation that is not ours. Reads a request as JSON, writes hex.

{"frames": true} gives one frame of each kind by name. {"erspan": [{...}, ...]} gives an ERSPAN packet for each entry:
inner (hex), source, address, sourceMac, destinationMac, and optionally sequence, session, index, vlan, cos, en, t, type.
{"tcp": [{"payload": hex, "six": bool, "vlan": id}]} and "udp" give whole super-packets before segmentation.
"""
import json
import logging
import struct
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.compat import raw
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.lldp import LLDPDU, LLDPDUChassisID, LLDPDUEndOfLLDPDU, LLDPDUPortID, LLDPDUTimeToLive
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, LLC, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Raw

A = "02:00:00:00:0a:01"
B = "02:00:00:00:0b:02"


def text(length):
    return Raw(bytes((i * 7 + 3) & 0xFF for i in range(length)))


def frames():
    e = Ether(src=A, dst=B)
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    six = IPv6(src="fd00::1", dst="fd00::2")
    udp = UDP(sport=4000, dport=4001)
    whole = e / ip / udp / text(2000)
    first, second = fragment(whole, fragsize=1400)
    broadcast = Ether(src=A, dst="ff:ff:ff:ff:ff:ff")
    lldp = (
        LLDPDUChassisID(subtype=4, id=b"\x02\x00\x00\x00\x0a\x01")
        / LLDPDUPortID(subtype=5, id=b"eth0")
        / LLDPDUTimeToLive(ttl=120)
        / LLDPDUEndOfLLDPDU()
    )
    result = {
        "ipv4-udp": e / ip / udp / text(100),
        "ipv4-udp-full": e / ip / udp / text(1472),
        "ipv4-tcp-syn": e / ip / TCP(sport=1, dport=2, flags="S", options=[("MSS", 1460)]),
        "ipv4-options": e / IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x94\x04\x00\x00") / udp / text(64),
        "ipv4-icmp": e / ip / ICMP() / text(56),
        "ipv4-gre": e / ip / GRE(proto=0x0800) / IP(src="10.1.0.1", dst="10.1.0.2") / udp / text(30),
        "ipv4-fragment-first": first,
        "ipv4-fragment-last": second,
        "ipv6-udp": e / six / udp / text(100),
        "ipv6-udp-full": e / six / udp / text(1452),
        "ipv6-extensions": e
        / six
        / IPv6ExtHdrHopByHop(options=[])
        / IPv6ExtHdrRouting(type=0, addresses=["fd00::3"])
        / IPv6ExtHdrDestOpt(options=[])
        / udp
        / text(40),
        "ipv6-fragment": e / six / IPv6ExtHdrFragment(id=7, m=1) / text(64),
        "arp-request": broadcast / ARP(op=1, hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.9"),
        "lldp": Ether(src=A, dst="01:80:c2:00:00:0e", type=0x88CC) / lldp,
        "stp": Dot3(src=A, dst="01:80:c2:00:00:00") / LLC() / STP(),
        "mpls": e / MPLS(label=100, s=1, ttl=64) / ip / udp / text(50),
        "mpls-full": e / MPLS(label=100, s=1, ttl=64) / ip / udp / text(1468),
        "pppoe": e / PPPoE(sessionid=5) / PPP(proto=0x21) / ip / udp / text(50),
        "unknown": Ether(src=A, dst=B, type=0x9999) / text(80),
        "unknown-full": Ether(src=A, dst=B, type=0x9999) / text(1500),
        "unknown-tiny": Ether(src=A, dst=B, type=0x9999) / text(3),
        "ipv4-bare": e / ip / udp,
        "ipv4-runt": e / ip / udp / text(18),
        "ipv4-broken": Ether(src=A, dst=B, type=0x0800) / text(5),
        "broadcast": broadcast / IP(src="10.0.0.1", dst="10.0.0.255") / udp / text(33),
        "multicast": Ether(src=A, dst="01:00:5e:01:02:03") / IP(src="10.0.0.1", dst="239.1.2.3") / udp / text(33),
        "vlan-ipv4": e / Dot1Q(vlan=33, prio=5) / ip / udp / text(60),
        "vlan-dei": e / Dot1Q(vlan=34, prio=1, id=1) / ip / udp / text(60),
        "vlan-full": e / Dot1Q(vlan=33) / ip / udp / text(1472),
        "vlan-arp": broadcast / Dot1Q(vlan=4094, prio=7) / ARP(hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.9"),
        "vlan-ipv6": e / Dot1Q(vlan=35) / six / udp / text(60),
        "vlan-priority": e / Dot1Q(vlan=0, prio=3) / ip / udp / text(60),
        "qinq-ipv4": e / Dot1AD(vlan=200, prio=2) / Dot1Q(vlan=44, prio=6) / ip / udp / text(60),
        "qinq-arp": broadcast / Dot1AD(vlan=200) / Dot1Q(vlan=44) / ARP(hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.9"),
        "qinq-8100": e / Dot1Q(vlan=300) / Dot1Q(vlan=44) / six / udp / text(60),
    }
    out = {}
    for name, packet in result.items():
        data = raw(packet)
        if name == "ipv4-runt":
            assert len(data) == 60
        out[name] = data
    return out


def erspan(entry):
    inner = bytes.fromhex(entry["inner"])
    kind = entry.get("type", 2)
    if kind == 1:
        gre = GRE(proto=0x88BE) / Raw(inner)
    elif kind == 3:
        body = ERSPAN_III(ver=2, vlan=entry.get("vlan", 0), session_id=entry.get("session", 0))
        gre = GRE(proto=0x22EB, seqnum_present=1, seqence_number=entry.get("sequence", 0)) / raw(body) / Raw(inner)
    else:
        body = ERSPAN_II(
            ver=entry.get("version", 1),
            vlan=entry.get("vlan", 0),
            cos=entry.get("cos", 0),
            en=entry.get("en", 0),
            t=entry.get("t", 0),
            session_id=entry.get("session", 0),
            index=entry.get("index", 0),
            reserved=entry.get("reserved", 0),
        )
        options = entry.get("gre", {})
        gre = GRE(proto=0x88BE, seqnum_present=1, seqence_number=entry.get("sequence", 0), **options)
        gre = gre / raw(body) / Raw(inner)
    ip = IP(src=entry["source"], dst=entry["address"], flags=entry.get("flags", "DF"), id=0, ttl=entry.get("ttl", 255), proto=47)
    for name in ("frag", "len", "chksum"):
        if name in entry:
            setattr(ip, name, entry[name])
    if entry.get("options"):
        ip.options = bytes.fromhex(entry["options"])
    return raw(Ether(src=entry["sourceMac"], dst=entry["destinationMac"]) / ip / gre)


def big(entry, transport, chksum=0):
    """A super-packet: checksums of transport are left to the kernel; lengths are those of the whole."""
    base = Ether(src=A, dst=B)
    if entry.get("vlan"):
        base = base / Dot1Q(vlan=entry["vlan"])
    ip = IPv6(src="fd00::1", dst="fd00::2") if entry.get("six") else IP(src="10.0.0.1", dst="10.0.0.2", id=100)
    payload = Raw(bytes.fromhex(entry["payload"]))
    if transport == "tcp":
        layer = TCP(sport=5000, dport=5001, seq=1000, ack=1, flags="PA", chksum=chksum, options=[("Timestamp", (1, 2))])
        if not entry.get("timestamps", True):
            layer.options = []
        else:
            layer.options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    else:
        layer = UDP(sport=5000, dport=5001, chksum=chksum)
    return raw(base / ip / layer / payload)


request = json.load(sys.stdin)
answer = {}
if request.get("frames"):
    answer["frames"] = {name: data.hex() for name, data in frames().items()}
answer["erspan"] = [erspan(entry).hex() for entry in request.get("erspan", [])]
answer["tcp"] = [big(entry, "tcp").hex() for entry in request.get("tcp", [])]
answer["udp"] = [big(entry, "udp").hex() for entry in request.get("udp", [])]
answer["segments"] = [big(entry, "tcp", None).hex() for entry in request.get("segments", [])]
answer["datagrams"] = [big(entry, "udp", None).hex() for entry in request.get("datagrams", [])]
json.dump(answer, sys.stdout)
