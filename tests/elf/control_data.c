/* sendmsg with a descriptor (SCM_RIGHTS) and two pipelined requests in one call: what goes to the peer in more
 * than one message hands the descriptor over more than once. Found by review. */
#include "http_min.h"

int main(void) {
    union { char b[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } u;
    union { char b[CMSG_SPACE(16 * sizeof(int))]; struct cmsghdr align; } in;
    char text[2 * HTTP_MAX], want[2 * HTTP_MAX], got[4 * HTTP_MAX];
    story(30);
    for (int i = 0; i < 100; i++) {
        int s[2], passed = -1;
        bool raw = i % 2;
        SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
        size_t first = http_request_text(text, "/maybe/first"), n = first + http_request_text(text + first, "/maybe/second");
        memset(&u, 0, sizeof u);
        struct iovec v = {text, n};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &s[0], sizeof(int));
        CHECK((raw ? syscall(SYS_sendmsg, s[0], &m, MSG_NOSIGNAL) : sendmsg(s[0], &m, MSG_NOSIGNAL)) == (ssize_t)n);

        struct iovec w = {got, sizeof got};
        struct msghdr r = {.msg_iov = &w, .msg_iovlen = 1, .msg_control = in.b, .msg_controllen = sizeof in.b};
        ssize_t k = recvmsg(s[1], &r, MSG_CMSG_CLOEXEC);
        CHECK(k >= (ssize_t)n && (r.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0);
        c = CMSG_FIRSTHDR(&r);
        CHECK(c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)));
        CHECK(CMSG_NXTHDR(&r, c) == NULL);
        memcpy(&passed, CMSG_DATA(c), sizeof passed);
        SYS(close(passed));
        FAILS((int)recv(s[1], got + k, 1, MSG_DONTWAIT), EAGAIN); /* all came in that one message */

        memcpy(want, text, n); /* both requests, each with one context at most */
        size_t len = (size_t)k;
        CHECK(http_strip_context(got, &len) <= (elf_agent ? 1 : 0));
        CHECK(len >= n && memcmp(got, want, first) == 0);
        len -= first;
        CHECK(http_strip_context(got + first, &len) <= (elf_agent ? 1 : 0));
        CHECK(len == n - first && memcmp(got + first, want + first, len) == 0);
        SYS(close(s[0]));
        SYS(close(s[1]));
    }
    return finish_uncounted();
}
