"""foreign_tcx.py OBJECT PROGRAM DEVICE HOOK [SECONDS]: attaches a program of an object file at the head of a tcx hook, and
holds it until it is ended. With SECONDS it looks that often whether it is first still, and goes first again. Prints the
kernel's number of the program."""

import ctypes
import socket
import sys
import time

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
for name in ("bpf_object__open_file", "bpf_object__find_program_by_name"):
    getattr(libbpf, name).restype = ctypes.c_void_p
libbpf.bpf_object__load.argtypes = [ctypes.c_void_p]
libbpf.bpf_object__find_program_by_name.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
libbpf.bpf_program__fd.argtypes = [ctypes.c_void_p]
HOOKS = {"ingress": 46, "egress": 47}  # enum bpf_attach_type (include/uapi/linux/bpf.h)
BEFORE = 8  # BPF_F_BEFORE


class Options(ctypes.Structure):
    _fields_ = [("sz", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


def check(what, result):
    if result < 0:
        sys.exit(f"{what}: {result}")
    return result


path, program, device, hook = sys.argv[1:5]
pause = float(sys.argv[5]) if len(sys.argv) > 5 else None
ifindex = socket.if_nametoindex(device)
loaded = libbpf.bpf_object__open_file(path.encode(), None)
check("load", libbpf.bpf_object__load(loaded))
fd = libbpf.bpf_program__fd(libbpf.bpf_object__find_program_by_name(loaded, program.encode()))


def attach():
    options = Options(ctypes.sizeof(Options), BEFORE, 0)
    return check("attach", libbpf.bpf_link_create(fd, ifindex, HOOKS[hook], ctypes.byref(options)))


def first():
    ids = (ctypes.c_uint32 * 64)()
    count = ctypes.c_uint32(len(ids))
    check("query", libbpf.bpf_prog_query(ifindex, HOOKS[hook], 0, None, ids, ctypes.byref(count)))
    return ids[0]


link = attach()
own = first()
print(own, flush=True)
while True:
    time.sleep(pause or 3600)
    if first() != own:
        check("detach", libbpf.bpf_link_detach(link))
        link = attach()
