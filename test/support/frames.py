"""frames.py FILE...: prints the frames of pcap files as JSON, a list of hex texts for each file."""

import json
import sys

from scapy.utils import RawPcapReader


def frames(path):
    reader = RawPcapReader(path)
    try:
        return [data.hex() for data, _ in reader]
    finally:
        reader.close()


print(json.dumps([frames(path) for path in sys.argv[1:]]))
