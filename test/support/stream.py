"""stream.py PCAP FILE PORT: puts the TCP payload that goes to PORT together by its sequence numbers and compares it
with FILE. Frames may be cut short, or be super-packets. Prints JSON: bytes of the file, bytes that are missing, bytes
that are wrong, frames with payload, the longest frame, and whether the checksums of IP headers are right."""

import json
import struct
import sys

from scapy.utils import RawPcapReader, checksum

path, file, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(file, "rb") as source:
    expected = source.read()

start = None
pending = []
longest = 0
bad_headers = 0
reader = RawPcapReader(path)
for data, _ in reader:
    if data[12:14] != b"\x08\x00" or data[23] != 6:
        continue
    ip_length = (data[14] & 15) * 4
    tcp = 14 + ip_length
    if struct.unpack_from("!H", data, tcp + 2)[0] != port:
        continue
    bad_headers += checksum(data[14:tcp]) != 0
    sequence = struct.unpack_from("!I", data, tcp + 4)[0]
    if data[tcp + 13] & 2:
        start = sequence + 1
    payload = tcp + (data[tcp + 12] >> 4) * 4
    # What the IP header says ends the packet, where the frame has not been cut before; a super-packet says 0 at 64 KiB.
    end = 14 + (struct.unpack_from("!H", data, 16)[0] or len(data) - 14)
    if data[payload:end]:
        pending.append((sequence, data[payload:end]))
        longest = max(longest, len(data))
reader.close()

covered = bytearray(len(expected))
wrong = 0
for sequence, payload in pending:
    offset = (sequence - start) & 0xFFFFFFFF
    wrong += payload != expected[offset : offset + len(payload)]
    covered[offset : offset + len(payload)] = b"\x01" * len(payload)

print(
    json.dumps(
        {
            "bytes": len(expected),
            "missing": len(expected) - sum(covered),
            "wrong": wrong,
            "frames": len(pending),
            "longest": longest,
            "badHeaders": bad_headers,
        }
    )
)
