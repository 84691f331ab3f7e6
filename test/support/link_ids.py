"""link_ids.py PIN...: prints the kernel's numbers of pinned BPF links as JSON, in the order of the arguments."""

import ctypes
import json
import os
import struct
import sys

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def link_id(path):
    fd = libbpf.bpf_obj_get(path.encode())
    if fd < 0:
        sys.exit(f"{path}: {os.strerror(ctypes.get_errno())}")
    # struct bpf_link_info begins with type and id, 32 bits each (include/uapi/linux/bpf.h).
    info = ctypes.create_string_buffer(256)
    length = ctypes.c_uint32(len(info))
    error = libbpf.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(length))
    os.close(fd)
    if error:
        sys.exit(f"{path}: no information about the link ({error})")
    return struct.unpack_from("II", info)[1]


print(json.dumps([link_id(path) for path in sys.argv[1:]]))
