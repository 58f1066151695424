//! syscall(): libuv closes its sockets by number, allocators open files before our constructor has run.
//!
//! Numbers of hooked calls take the same way as their functions; every other number jumps on, with its stack as the
//! caller left it.

use super::{fds, input, output, process, real, security, socket, transfer, wait};
use crate::sys::{errno, raw};
use std::arch::naked_asm;
use std::ffi::{c_int, c_long, c_uint, c_void};

/// One bit for each number that is handled below. Numbers above the last word jump on.
static HANDLED: [u64; 8] = bits(&[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_epoll_create,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_poll,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_close_range,
    libc::SYS_exit_group,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_seccomp,
    libc::SYS_prctl,
]);

const fn bits(numbers: &[c_long]) -> [u64; 8] {
    let mut words = [0; 8];
    let mut i = 0;
    while i < numbers.len() {
        words[numbers[i] as usize / 64] |= 1 << (numbers[i] % 64);
        i += 1;
    }
    words
}

/// Hook of `syscall`.
///
/// # Safety
/// The C contract of `syscall`.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn syscall() {
    naked_asm!(
        "cmp rdi, 511",
        "ja 2f",
        "lea rax, [rip + {handled}]",
        "bt qword ptr [rax], rdi",
        "jc {tracked}",
        "2:",
        "mov rax, [rip + {slot}]",
        "test rax, rax",
        "jz {tracked}",
        "jmp rax",
        handled = sym HANDLED,
        tracked = sym by_number,
        slot = sym real::jumps::SYSCALL,
    )
}

/// The handled numbers, and every number before the real function is known. `f` stands on the caller's stack; where the
/// caller passed fewer arguments it is whatever stands there, and is not looked at.
unsafe extern "C" fn by_number(
    nr: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let fd = a as c_int;
    // SAFETY: the program's own arguments, with the types that this number has.
    unsafe {
        match nr {
            libc::SYS_read => input::read(fd, b as *mut c_void, c) as c_long,
            libc::SYS_write => output::write(fd, b as *const c_void, c) as c_long,
            libc::SYS_close => fds::close(fd).into(),
            libc::SYS_readv => input::readv(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_writev => output::writev(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_dup => fds::dup(fd).into(),
            libc::SYS_dup2 => fds::dup2(fd, b as c_int).into(),
            libc::SYS_dup3 => fds::dup3(fd, b as c_int, c as c_int).into(),
            libc::SYS_fcntl => fds::fcntl(fd, b as c_int, c).into(),
            libc::SYS_socket => socket::socket(fd, b as c_int, c as c_int).into(),
            libc::SYS_connect => socket::connect(fd, b as *const _, c as u32).into(),
            libc::SYS_accept => socket::accept(fd, b as *mut _, c as *mut _).into(),
            libc::SYS_accept4 => socket::accept4(fd, b as *mut _, c as *mut _, d as c_int).into(),
            libc::SYS_shutdown => socket::shutdown(fd, b as c_int).into(),
            libc::SYS_getsockopt => {
                socket::getsockopt(fd, b as c_int, c as c_int, d as *mut _, e as *mut _).into()
            }
            libc::SYS_epoll_create => wait::epoll_create(fd).into(),
            libc::SYS_epoll_create1 => wait::epoll_create1(fd).into(),
            libc::SYS_epoll_wait => {
                wait::epoll_wait(fd, b as *mut _, c as c_int, d as c_int).into()
            }
            libc::SYS_poll => wait::poll(a as *mut _, b as u64, c as c_int).into(),
            libc::SYS_sendto => output::sendto(
                fd,
                b as *const c_void,
                c,
                d as c_int,
                e as *const _,
                f as u32,
            ) as c_long,
            libc::SYS_recvfrom => input::recvfrom(
                fd,
                b as *mut c_void,
                c,
                d as c_int,
                e as *mut _,
                f as *mut _,
            ) as c_long,
            libc::SYS_sendmsg => output::sendmsg(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_recvmsg => input::recvmsg(fd, b as *mut _, c as c_int) as c_long,
            libc::SYS_sendmmsg => output::sendmmsg(fd, b as *mut _, c as c_uint, d as c_int).into(),
            libc::SYS_recvmmsg => {
                input::recvmmsg(fd, b as *mut _, c as c_uint, d as c_int, e as *mut _).into()
            }
            libc::SYS_sendfile => transfer::sendfile(fd, b as c_int, c as *mut _, d) as c_long,
            libc::SYS_splice => {
                transfer::splice(fd, b as *mut _, c as c_int, d as *mut _, e, f as c_uint) as c_long
            }
            libc::SYS_close_range => fds::close_range(a as c_uint, b as c_uint, c as c_int).into(),
            other => {
                match other {
                    libc::SYS_exit_group => process::leave(),
                    libc::SYS_execve | libc::SYS_execveat => process::change(),
                    libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => wait::waits(fd),
                    libc::SYS_seccomp if security::seccomp_enters(a, b, c) => security::sandboxed(),
                    libc::SYS_prctl if security::prctl_enters(fd, b, c) => security::sandboxed(),
                    _ => {}
                }
                match raw::check(raw::syscall6(nr, [a, b, c, d, e, f])) {
                    Ok(value) => value as c_long,
                    Err(raw::Errno(number)) => {
                        errno::set(number);
                        -1
                    }
                }
            }
        }
    }
}
