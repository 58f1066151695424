"""Runs a program that may do less: hardened.py mdwe|seccomp|memfd|read-only PROGRAM [ARGUMENT...]. x86-64 only.

mdwe            PR_SET_MDWE (Linux 6.3): no memory may become executable
seccomp         the same by the filter that systemd makes of MemoryDenyWriteExecute=
memfd           memfd_create is refused
read-only       every file system is mounted read-only, for this program alone (needs root or user namespaces)
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_MDWE = 38, 22, 2, 65
PROT_WRITE, PROT_EXEC = 2, 4
MMAP, MPROTECT, PKEY_MPROTECT, MEMFD_CREATE = 9, 10, 329, 319
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
LOAD, JUMP_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
NUMBER, PROT = 0, 32  # in struct seccomp_data: the call, the low half of its third argument
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *rest: object) -> None:
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in (*rest, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *words):
        sys.exit(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


# mmap that is writable and executable, mprotect to executable: EPERM.
NO_EXECUTABLE = [
    (LOAD, 0, 0, NUMBER),
    (JUMP_EQUAL, 2, 0, MPROTECT),
    (JUMP_EQUAL, 1, 0, PKEY_MPROTECT),
    (JUMP_EQUAL, 3, 7, MMAP),
    (LOAD, 0, 0, PROT),
    (AND, 0, 0, PROT_EXEC),
    (JUMP_EQUAL, 3, 4, PROT_EXEC),
    (LOAD, 0, 0, PROT),
    (AND, 0, 0, PROT_WRITE | PROT_EXEC),
    (JUMP_EQUAL, 0, 1, PROT_WRITE | PROT_EXEC),
    (RETURN, 0, 0, REFUSE),
    (RETURN, 0, 0, ALLOW),
]
NO_MEMFD = [(LOAD, 0, 0, NUMBER), (JUMP_EQUAL, 0, 1, MEMFD_CREATE), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]


def seccomp(filters: list) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


def read_only() -> None:
    """In a mount namespace of its own. What is open already stays writable."""
    identity = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if identity[0] else 0)):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    if identity[0]:
        for name, text in ("setgroups", "deny"), ("uid_map", f"0 {identity[0]} 1"), ("gid_map", f"0 {identity[1]} 1"):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    with open("/proc/self/mounts") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in points:
        if libc.mount(None, point.encode().decode("unicode_escape").encode(), None, ctypes.c_ulong(MS_REMOUNT | MS_BIND | MS_RDONLY), None):
            print(f"{point} stays writable", file=sys.stderr)
    for place in (os.getcwd(), os.environ["TMPDIR"], os.environ["HOME"], "/dev/shm"):
        if os.access(place, os.W_OK):
            sys.exit(f"{place} is writable")


policy, *argv = sys.argv[1:]
if policy == "mdwe":
    prctl(PR_SET_MDWE, 1)
elif policy == "read-only":
    read_only()
else:
    seccomp({"seccomp": NO_EXECUTABLE, "memfd": NO_MEMFD}[policy])
os.execvp(argv[0], argv)
