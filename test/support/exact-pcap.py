"""Compares what captures have taken. Prints JSON.

exact-pcap.py compare A B [MAC]       frames as multisets; MAC: of this sender alone (hex without colons)
exact-pcap.py segments A B            TCP segments as multisets of (sequence number, length, payload)
exact-pcap.py stream PCAP PORT FILE   the TCP payload to PORT, put together by sequence numbers, against FILE
exact-pcap.py inner PCAP OUT          writes the frames inside ERSPAN to OUT; the headers of each as a list
exact-pcap.py lengths PCAP            lengths of the frames on the wire
"""

import collections
import hashlib
import json
import struct
import sys

from scapy.utils import RawPcapReader, RawPcapWriter


def read(path):
    reader = RawPcapReader(path)
    try:
        return [(data, meta.wirelen) for data, meta in reader]
    finally:
        reader.close()


def frames(path, mac=None):
    return [data for data, _ in read(path) if mac is None or data[6:12].hex() == mac]


def difference(a, b, show):
    only_a, only_b = a - b, b - a
    return {
        "a": sum(a.values()),
        "b": sum(b.values()),
        "onlyA": sum(only_a.values()),
        "onlyB": sum(only_b.values()),
        "examples": [show(one) for one in [*list(only_a)[:2], *list(only_b)[:2]]],
    }


def tcp_offset(data):
    """Offset of the TCP header of an IPv4 or IPv6 frame without tags and extension headers, end of the packet, or None."""
    if data[12:14] == b"\x08\x00" and data[23] == 6:
        total = struct.unpack_from("!H", data, 16)[0]
        return 14 + (data[14] & 15) * 4, 14 + total if total else len(data)
    if data[12:14] == b"\x86\xdd" and data[20] == 6:
        length = struct.unpack_from("!H", data, 18)[0]
        return 54, 54 + length if length else len(data)
    return None


def segments(path):
    for data in frames(path):
        found = tcp_offset(data)
        if found is None:
            continue
        tcp, end = found
        payload = data[tcp + (data[tcp + 12] >> 4) * 4 : end]
        yield struct.unpack_from("!HHI", data, tcp), data[tcp + 13], payload


def zero_as_ones(data):
    """
    A TCP checksum of 0 as 0xffff: the same number in ones' complement. Which of the two the kernel writes depends on who adds
    it up at the end: skb_checksum_help never writes 0, the segmentation does (net/core/dev.c, net/ipv4/tcp_offload.c).
    """
    tcp = tcp_offset(data)
    if tcp is None or data[tcp[0] + 16 : tcp[0] + 18] != b"\0\0":
        return data
    return data[: tcp[0] + 16] + b"\xff\xff" + data[tcp[0] + 18 :]


def compare(a, b, mac=None):
    count = lambda path: collections.Counter(zero_as_ones(frame) for frame in frames(path, mac))
    return difference(count(a), count(b), lambda frame: frame[:90].hex())


def compare_segments(a, b):
    keys = lambda path: collections.Counter(
        (ports, len(payload), hashlib.sha256(payload).hexdigest()) for ports, _, payload in segments(path) if payload
    )
    return difference(keys(a), keys(b), str)


def stream(path, port, file):
    with open(file, "rb") as source:
        expected = source.read()
    start = None
    pending = []
    for (_, to, sequence), flags, payload in segments(path):
        if to != int(port):
            continue
        if flags & 2:
            start = sequence + 1
        if payload:
            pending.append((sequence, payload))
    covered = bytearray(len(expected))
    stream = bytearray(len(expected))
    wrong = 0
    for sequence, payload in pending:
        offset = (sequence - start) & 0xFFFFFFFF
        wrong += payload != expected[offset : offset + len(payload)]
        stream[offset : offset + len(payload)] = payload
        covered[offset : offset + len(payload)] = b"\x01" * len(payload)
    return {
        "bytes": len(expected),
        "missing": len(expected) - sum(covered),
        "wrong": wrong,
        "frames": len(pending),
        "longest": max((len(payload) for _, payload in pending), default=0),
        "sha256": hashlib.sha256(stream).hexdigest(),
    }


def inner(path, out):
    writer = RawPcapWriter(out, linktype=1)
    writer.write_header(b"")
    headers = []
    for data, _ in read(path):
        flags, protocol, sequence, word, index = struct.unpack_from("!HHIII", data, 34)
        headers.append(
            {
                "gre": [flags, protocol],
                "sequence": sequence,
                "version": word >> 28,
                "vlan": word >> 16 & 0xFFF,
                "cos": word >> 13 & 7,
                "en": word >> 11 & 3,
                "t": word >> 10 & 1,
                "session": word & 1023,
                "index": index & 0xFFFFF,
            }
        )
        writer.write_packet(data[50 : 14 + struct.unpack_from("!H", data, 16)[0]])
    writer.close()
    return headers


what, *args = sys.argv[1:]
print(
    json.dumps(
        {
            "compare": compare,
            "segments": compare_segments,
            "stream": stream,
            "inner": inner,
            "lengths": lambda path: [length for _, length in read(path)],
        }[what](*args)
    )
)
