"""ERSPAN as Scapy has it. Prints JSON.

exact-erspan.py decode PCAP   the fields of each packet and the frame inside
exact-erspan.py golden        standard input: [{what, inner, vlan, cos, en, t}] and the outer addresses; prints the packets
"""

import json
import struct
import sys

from scapy.all import GRE, IP, Ether, Raw
from scapy.contrib.erspan import ERSPAN_II
from scapy.utils import RawPcapReader

# Spelt without its second letter u in older versions.
SEQUENCE = next(field.name for field in GRE.fields_desc if field.name in ("sequence_number", "seqence_number"))


def decode(path):
    reader = RawPcapReader(path)
    rows = []
    for data, _ in reader:
        packet = Ether(data)
        gre, erspan = packet[GRE], packet[ERSPAN_II]
        row = {name: getattr(erspan, name) for name in ("ver", "vlan", "cos", "en", "t", "session_id", "index")}
        row |= {"sequence": getattr(gre, SEQUENCE), "protocol": gre.proto, "reserved": erspan.reserved}
        row |= {"source": packet[IP].src, "destination": packet[IP].dst, "df": packet[IP].flags.DF, "ttl": packet[IP].ttl}
        rows.append(row | {"inner": data[50 : 14 + packet[IP].len].hex()})
    reader.close()
    return rows


def golden(request):
    built = []
    for sequence, one in enumerate(request["frames"]):
        inner = bytes.fromhex(one["inner"])
        erspan = ERSPAN_II(
            ver=1, vlan=one["vlan"], cos=one["cos"], en=one["en"], t=one["t"], session_id=request["session"], index=one["index"]
        )
        packet = (
            Ether(src=request["sourceMac"], dst=request["destinationMac"])
            / IP(src=request["source"], dst=request["destination"], id=0, flags="DF", ttl=255)
            / GRE(seqnum_present=1, proto=0x88BE, **{SEQUENCE: sequence})
            / erspan
            / Raw(inner)
        )
        built.append(bytes(packet).hex())
    return built


if sys.argv[1] == "decode":
    print(json.dumps(decode(sys.argv[2])))
elif sys.argv[1] == "golden":
    print(json.dumps(golden(json.load(sys.stdin))))
else:
    sys.exit("decode or golden")
