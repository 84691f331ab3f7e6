"""tcx.py: prints as JSON how many programs hang at the tcx hooks of each device of this network namespace; `tcx.py ids` the
kernel's numbers of them, in the order in which they run."""

import ctypes
import json
import os
import socket
import sys

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
HOOKS = {"ingress": 46, "egress": 47}  # enum bpf_attach_type (include/uapi/linux/bpf.h)


def programs(ifindex, hook):
    ids = (ctypes.c_uint32 * 64)()
    count = ctypes.c_uint32(len(ids))
    # The kernel reads the device's number where libbpf says target_fd: one union.
    if libbpf.bpf_prog_query(ifindex, hook, 0, None, ids, ctypes.byref(count)):
        sys.exit(f"device {ifindex}: {os.strerror(ctypes.get_errno())}")
    return ids[: count.value] if "ids" in sys.argv[1:] else count.value


devices = socket.if_nameindex()
print(json.dumps({name: {hook: programs(index, number) for hook, number in HOOKS.items()} for index, name in devices}))
