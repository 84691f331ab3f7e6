"""outer.py PCAP: reads ERSPAN packets as they are on the underlay, at least their first 64 bytes. Prints JSON: their
number, their bytes as Ethernet frames, the longest IP packet, how many are fragments, lack the flag "do not fragment",
have a wrong IP checksum, are ERSPAN of another kind than type II, or have the T bit, and the sequence numbers."""

import json
import struct
import sys

from scapy.utils import RawPcapReader, checksum

result = {"packets": 0, "bytes": 0, "longest": 0, "fragments": 0, "mayFragment": 0, "badChecksum": 0, "otherKind": 0}
result |= {"truncated": 0, "sessions": []}
sequences = []
reader = RawPcapReader(sys.argv[1])
for data, meta in reader:
    total = struct.unpack_from("!H", data, 16)[0]
    flags = struct.unpack_from("!H", data, 20)[0]
    gre_flags, protocol, sequence, word = struct.unpack_from("!HHII", data, 34)
    result["packets"] += 1
    result["bytes"] += meta.wirelen
    result["longest"] = max(result["longest"], total, meta.wirelen - 14)
    result["fragments"] += (flags & 0x3FFF) != 0
    result["mayFragment"] += (flags & 0x4000) == 0
    result["badChecksum"] += checksum(data[14:34]) != 0
    result["otherKind"] += (gre_flags, protocol, word >> 28) != (0x1000, 0x88BE, 1)
    result["truncated"] += word >> 10 & 1
    if word & 1023 not in result["sessions"]:
        result["sessions"].append(word & 1023)
    sequences.append(sequence)
reader.close()
result["backwards"] = sum(b < a for a, b in zip(sequences, sequences[1:]))
print(json.dumps(result))
