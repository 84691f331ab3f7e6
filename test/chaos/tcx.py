"""What is attached at tcx hooks, and interfering with it.

tcx.py list                            JSON: for each device of this namespace the program ids at both hooks, in order
tcx.py detach PIN                      takes a pinned link off its hook, whoever holds it
tcx.py attach OBJECT PROGRAM DEVICE HOOK PIN   attaches a program in front of all others and pins its link
"""

import ctypes
import json
import os
import socket
import struct
import sys

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
HOOKS = {"ingress": 46, "egress": 47}  # enum bpf_attach_type (include/uapi/linux/bpf.h)
BPF_F_BEFORE = 8
for name in ("bpf_object__open", "bpf_object__find_program_by_name"):
    getattr(libbpf, name).restype = ctypes.c_void_p


def check(what, result):
    if result < 0:
        sys.exit(f"{what}: {os.strerror(-result)}")
    return result


def programs(ifindex, hook):
    ids = (ctypes.c_uint32 * 64)()
    count = ctypes.c_uint32(len(ids))
    # A device that has gone meanwhile has none.
    if libbpf.bpf_prog_query(ifindex, HOOKS[hook], 0, None, ids, ctypes.byref(count)):
        return []
    return list(ids[: count.value])


def attach(path, program, device, hook, link_pin):
    handle = ctypes.c_void_p(libbpf.bpf_object__open(path.encode()))
    check(f"load {path}", libbpf.bpf_object__load(handle))
    found = ctypes.c_void_p(libbpf.bpf_object__find_program_by_name(handle, program.encode()))
    options = ctypes.create_string_buffer(struct.pack("QII", 16, BPF_F_BEFORE, 0), 16)
    ifindex = socket.if_nametoindex(device)
    link = check("attach", libbpf.bpf_link_create(libbpf.bpf_program__fd(found), ifindex, HOOKS[hook], options))
    check("pin", libbpf.bpf_obj_pin(link, link_pin.encode()))


what, *args = sys.argv[1:]
if what == "list":
    devices = socket.if_nameindex()
    print(json.dumps({name: {hook: programs(index, hook) for hook in HOOKS} for index, name in devices}))
elif what == "detach":
    check("detach", libbpf.bpf_link_detach(check("open", libbpf.bpf_obj_get(args[0].encode()))))
elif what == "attach":
    attach(*args)
else:
    sys.exit(f"unknown: {what}")
