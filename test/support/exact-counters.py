"""exact-counters.py FOLDER: adds a different number to each reason in the pinned counters of every capture and every
termination of a node: 1001 packets to the first drop reason, 1002 to the next, 2001 to the first skip reason, 3001 to the
first of a termination. Prints how many captures and terminations there are as JSON."""

import ctypes
import json
import os
import struct
import sys

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
CPUS = libbpf.libbpf_num_possible_cpus()
folder, drops, skips, terminations = sys.argv[1], *map(int, sys.argv[2:])


def get(name):
    fd = libbpf.bpf_obj_get(os.path.join(folder, name).encode())
    if fd < 0:
        sys.exit(f"{folder}/{name}: {os.strerror(-fd)}")
    return fd


def entries(name, key_size, value_size):
    fd = get(name)
    key, value = None, ctypes.create_string_buffer(max(value_size, 256))
    following = ctypes.create_string_buffer(key_size)
    while libbpf.bpf_map_get_next_key(fd, key, following) == 0:
        key = ctypes.create_string_buffer(following.raw, key_size)
        if libbpf.bpf_map_lookup_elem(fd, key, value) == 0:
            yield value.raw[:value_size]
    os.close(fd)


def add(name, slot, numbers):
    """numbers: what to add to the packets of each struct count, from the first."""
    fd = get(name)
    size = len(numbers) * 16
    key, value = ctypes.create_string_buffer(struct.pack("I", slot), 4), ctypes.create_string_buffer(size * CPUS)
    assert libbpf.bpf_map_lookup_elem(fd, key, value) == 0
    counts = list(struct.unpack(f"{size * CPUS // 8}Q", value.raw))
    for i, number in enumerate(numbers):
        counts[2 * i] += number
    value = ctypes.create_string_buffer(struct.pack(f"{len(counts)}Q", *counts), size * CPUS)
    assert libbpf.bpf_map_update_elem(fd, key, value, ctypes.c_uint64(0)) == 0
    os.close(fd)


# struct capture: threshold 64 bits, then slot; struct termination begins with slot. Behind received and delivered of a
# termination comes relayed.
found = [struct.unpack_from("I", value, 8)[0] for value in entries("captures", 8, 40)]
dropped = [1001 + i for i in range(drops)]
for slot in found:
    add("capture_counters", slot, [sum(dropped), 0, 0, 0, *dropped, *(2001 + i for i in range(skips))])
ended = [struct.unpack_from("I", value)[0] for value in entries("terminations", 8, 24)]
refused = [3001 + i for i in range(terminations)]
for slot in ended:
    add("termination_counters", slot, [sum(refused), 0, 0, *refused])
print(json.dumps({"captures": len(found), "terminations": len(ended)}))
