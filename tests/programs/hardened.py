"""Runs a program where no memory may become executable: hardened.py mdwe|seccomp PROGRAM [ARGUMENT...]

mdwe is PR_SET_MDWE (Linux 6.3), seccomp the filter that systemd makes of MemoryDenyWriteExecute=. x86-64 only.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_MDWE = 38, 22, 2, 65
PROT_WRITE, PROT_EXEC = 2, 4
MMAP, MPROTECT, PKEY_MPROTECT = 9, 10, 329
LOAD, JUMP_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
NUMBER, PROT = 0, 32  # in struct seccomp_data: the call, the low half of its third argument
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *rest: object) -> None:
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in (*rest, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *words):
        sys.exit(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def seccomp() -> None:
    """mmap that is writable and executable, mprotect to executable: EPERM."""
    filters = [
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
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


policy, *argv = sys.argv[1:]
if policy == "mdwe":
    prctl(PR_SET_MDWE, 1)
else:
    seccomp()
os.execvp(argv[0], argv)
