"""exact-map.py PIN KEY-SIZE VALUE-SIZE: prints the entries of a pinned BPF hash map as JSON: keys and values in hex."""

import ctypes
import json
import os
import sys

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
path, key_size, value_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = libbpf.bpf_obj_get(path.encode())
if fd < 0:
    sys.exit(f"{path}: {os.strerror(ctypes.get_errno())}")

entries = {}
key = None
following = ctypes.create_string_buffer(key_size)
while libbpf.bpf_map_get_next_key(fd, key, following) == 0:
    key = ctypes.create_string_buffer(following.raw, key_size)
    value = ctypes.create_string_buffer(value_size)
    if libbpf.bpf_map_lookup_elem(fd, key, value) == 0:
        entries[key.raw.hex()] = value.raw.hex()
os.close(fd)
print(json.dumps(entries))
