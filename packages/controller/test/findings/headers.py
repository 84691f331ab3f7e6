"""Frames with what is in them, as Scapy makes them: one JSON object a line. argv: seed, count."""

import json
import random
import sys

from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, Raw

chance = random.Random(int(sys.argv[1]))


def ends(six):
    if six:
        return [f"2001:db8::{chance.randrange(1 << 16):x}:0:{chance.randrange(1, 1 << 16):x}" for _ in range(2)]
    return [".".join(str(chance.randrange(1, 255)) for _ in range(4)) for _ in range(2)]


def network(six):
    source, target = ends(six)
    below = IPv6(src=source, dst=target) if six else IP(src=source, dst=target, id=chance.randrange(1 << 16), ttl=chance.randrange(1, 255))
    if six and chance.random() < 0.3:
        below = below / IPv6ExtHdrDestOpt()
    return below, {"source": source, "target": target}


def transport(six):
    ports = {"sourcePort": chance.randrange(1, 1 << 16), "targetPort": chance.randrange(1, 1 << 16)}
    data = Raw(b"x" * chance.randrange(0, 900))
    kind = chance.choice(["tcp", "udp", "icmp", "error"])
    if kind == "tcp":
        flags = chance.choice(["S", "SA", "A", "PA", "FA", "R", "RA"])
        options = chance.choice([[], [("MSS", 1460)], [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)]])
        number, acknowledged = chance.randrange(1 << 32), chance.randrange(1 << 32)
        window = chance.randrange(1 << 16)
        head = TCP(sport=ports["sourcePort"], dport=ports["targetPort"], flags=flags, seq=number, ack=acknowledged, window=window, options=options)
        tcp = {"sequence": number, "acknowledged": acknowledged, "window": window, "data": len(data.load)}
        tcp.update({name: letter in flags for name, letter in (("syn", "S"), ("ack", "A"), ("fin", "F"), ("rst", "R"))})
        return head / data, {"protocol": "tcp", **ports, "tcp": tcp}
    if kind == "udp":
        return UDP(sport=ports["sourcePort"], dport=ports["targetPort"]) / data, {"protocol": "udp", **ports}
    if kind == "icmp":
        number = chance.randrange(1 << 16)
        head = ICMPv6EchoRequest(id=number) if six else ICMP(type=8, id=number)
        return head / data, {"protocol": "icmp", "sourcePort": number, "targetPort": number, "icmp": {"kind": "echoRequest"}}
    inner, inner_ends = network(False) if not six else (None, None)
    if six:
        source, target = ends(True)
        inner, inner_ends = IPv6(src=source, dst=target), {"source": source, "target": target}
    quoted = inner / UDP(sport=ports["sourcePort"], dport=ports["targetPort"]) / Raw(b"y" * 20)
    head = ICMPv6DestUnreach(code=4) if six else ICMP(type=3, code=3)
    about = {"protocol": "udp", **inner_ends, **ports}
    return head / quoted, {"protocol": "icmp", "sourcePort": 0, "targetPort": 0, "icmp": {"kind": "unreachable", "about": about}}


for _ in range(int(sys.argv[2])):
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for _tag in range(chance.choice([0, 0, 1, 2])):
        frame = frame / Dot1Q(vlan=chance.randrange(1, 4095))
    if chance.random() < 0.1:
        source, target = ends(False)
        frame = frame / ARP(op=1, psrc=source, pdst=target)
        expected = {"protocol": "arp", "source": source, "target": target, "sourcePort": 0, "targetPort": 0, "asks": True}
    else:
        six = chance.random() < 0.5
        below, told = network(six)
        above, more = transport(six)
        frame, expected = frame / below / above, {**told, **more}
    wire = bytes(frame)
    # As a NIC does: a frame has 60 bytes at the least.
    padded = wire + bytes(max(0, 60 - len(wire)))
    print(json.dumps({"hex": padded[:128].hex(), "length": len(padded), "expected": expected}))
