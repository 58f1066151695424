/* Every hooked I/O function once in its success and its failure forms. The transcript (result, errno,
 * data) must be the same byte for byte bare and under the agent; errno is 77 before each call, so a call
 * that succeeds must leave 77. Descriptor numbers are part of the transcript: the agent may not take low
 * ones. Built with _FORTIFY_SOURCE so that the __*_chk forms are called. Lessons 23, 25, 33, 43, 44, 46, 53. */
#include "http_min.h"
#include <netdb.h>
#include <sys/sendfile.h>

#define NOFD 987            /* a descriptor that is not open */
static volatile size_t four = 4, big = 64; /* unknown to the compiler: fortified calls stay calls */
static void *volatile BAD = (void *)8, *volatile NOWHERE = NULL; /* addresses the kernel refuses */
static volatile int minus = -1;
static char buf[64];

#define SAY(call)                                                                  \
    do {                                                                           \
        errno = 77;                                                                \
        long long r_ = (long long)(call);                                          \
        printf("%3d %-60s = %lld errno %d\n", __LINE__, #call, r_, errno);         \
    } while (0)

static void data(size_t n) {
    printf("    data \"");
    for (size_t i = 0; i < n; i++) printf(buf[i] >= 32 && buf[i] < 127 ? "%c" : "\\%02x", (unsigned char)buf[i]);
    printf("\"\n");
    memset(buf, 0, sizeof buf);
}

/* readv and friends with n iovecs of one byte each */
static struct iovec many[IOV_MAX + 1];

static void files_and_pipes(void) {
    int p[2], f = SYS(memfd_create("canary", 0));
    struct iovec v[3] = {{buf, 2}, {NULL, 0}, {buf + 2, 2}};
    printf("-- files and pipes\n");
    SYS(pipe2(p, O_NONBLOCK));
    SAY(write(p[1], "abcdefgh", 8));
    SAY(write(p[1], "", 0));
    SAY(write(p[1], BAD, 4));
    SAY(write(p[1], NOWHERE, 4));
    SAY(write(p[0], "a", 1));
    SAY(write(NOFD, "a", 1));
    SAY(write(-1, "a", 1));
    SAY(read(p[0], buf, four)); data(4);
    SAY(read(p[0], BAD, 4));
    SAY(read(p[0], buf, 0));
    SAY(readv(p[0], v, 3)); data(4);
    SAY(read(p[0], buf, four));
    SAY(read(p[1], buf, four));
    SAY(read(NOFD, buf, four));
    SAY(read(-1, buf, four));
    SAY(readv(NOFD, v, 3));
    SAY(readv(p[0], BAD, 3));
    SAY(readv(p[0], v, minus));
    SAY(readv(p[0], many, IOV_MAX + 1));
    SAY(writev(p[1], (struct iovec[]){{"12", 2}, {NULL, 0}, {"34", 2}}, 3));
    SAY(writev(p[1], NULL, 0));
    SAY(writev(p[1], BAD, 2));
    SAY(writev(p[1], (struct iovec[]){{"56", 2}, {BAD, 2}}, 2));
    SAY(writev(p[1], many, IOV_MAX + 1));
    SAY(writev(p[1], (struct iovec[]){{buf, (size_t)-1}}, 1));
    SAY(writev(NOFD, v, 3));
    SAY(read(p[0], buf, big)); data(8);
    SAY(write(f, "GET /file HTTP/1.1\r\n\r\n", 22)); /* looks like a request, is a file */
    SAY(lseek(f, 0, SEEK_SET));
    SAY(read(f, buf, big)); data(24);
    SAY(read(f, buf, big));
    /* sendfile, splice */
    off_t at = 4;
    off64_t at64 = 5;
    SAY(sendfile(p[1], f, &at, 5)); printf("    offset %lld\n", (long long)at);
    SAY(sendfile64(p[1], f, &at64, 4)); printf("    offset %lld\n", (long long)at64);
    SAY(read(p[0], buf, big)); data(9);
    SAY(sendfile(p[1], f, NULL, 0));
    SAY(sendfile(p[1], NOFD, NULL, 4));
    SAY(sendfile(NOFD, f, NULL, 4));
    SAY(sendfile(p[1], f, BAD, 4));
    SAY(sendfile64(p[1], NOFD, NULL, 4));
    SAY(sendfile(p[1], p[0], NULL, 4));
    off64_t from = 0;
    SAY(splice(f, &from, p[1], NULL, 6, 0)); printf("    offset %lld\n", (long long)from);
    SAY(splice(p[0], NULL, f, &(off64_t){30}, 64, SPLICE_F_NONBLOCK));
    SAY(splice(p[0], NULL, f, NULL, 64, SPLICE_F_NONBLOCK));
    SAY(splice(p[0], &from, f, NULL, 4, 0));
    SAY(splice(f, NULL, f, NULL, 4, 0));
    SAY(splice(NOFD, NULL, p[1], NULL, 4, 0));
    SAY(splice(f, NULL, p[1], NULL, 0, 0));
    SAY(splice(f, NULL, p[1], NULL, 1, 0xffff));
    SAY(close(p[0]));
    SAY(write(p[1], "x", 1)); /* EPIPE; SIGPIPE is ignored */
    SAY(close(p[1]));
    SAY(close(p[1]));
    SAY(close(f));
    SAY(close(-1));
    SAY(close(NOFD));
}

static void descriptors(void) {
    int s, f = SYS(open("/dev/null", O_RDWR));
    struct rlimit old, low;
    printf("-- descriptors\n");
    SAY(s = socket(AF_INET, SOCK_STREAM, 0));
    SAY(socket(AF_INET, 99, 0));
    SAY(socket(999, SOCK_STREAM, 0));
    SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SAY(dup(s));
    SAY(dup(NOFD));
    SAY(dup(-1));
    SAY(dup2(s, 20));
    SAY(dup2(s, s));
    SAY(dup2(NOFD, NOFD));
    SAY(dup2(NOFD, 20));
    SAY(dup2(s, -1));
    SAY(dup2(s, INT_MAX));
    SAY(dup3(s, 21, O_CLOEXEC));
    SAY(dup3(s, s, 0));
    SAY(dup3(s, 22, 0x1));
    SAY(dup3(NOFD, 22, 0));
    SAY(fcntl(s, F_DUPFD, 30));
    SAY(fcntl(s, F_DUPFD_CLOEXEC, 30));
    SAY(fcntl(s, F_DUPFD, -1));
    SAY(fcntl(NOFD, F_DUPFD, 0));
    SAY(fcntl(s, F_GETFD));
    SAY(fcntl(31, F_GETFD));
    SAY(fcntl(s, F_SETFD, FD_CLOEXEC));
    SAY(fcntl(s, F_GETFD));
    SAY(fcntl(s, F_GETFL));
    SAY(fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK));
    SAY(fcntl(s, F_GETFL));
    SAY(fcntl(20, F_GETFL)); /* shares the description */
    SAY(fcntl(f, F_GETLK, BAD));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    SAY(fcntl(f, F_GETLK, &lock)); printf("    lock type %d\n", lock.l_type);
    SAY(fcntl(f, 99999));
    SAY(fcntl(NOFD, F_GETFL));
    SAY(syscall(SYS_fcntl, s, F_GETFD));
    SAY(close_range(20, 31, 0));
    SAY(close_range(20, 10, 0));
    SAY(close_range(20, 31, 0x7000));
    SAY(close_range(5000, ~0U, 0));
    SAY(fcntl(20, F_GETFD));
    SAY(close_range(40, 50, CLOSE_RANGE_CLOEXEC));
    SYS(getrlimit(RLIMIT_NOFILE, &old));
    int next = dup(s);
    SYS(close(next));
    low = (struct rlimit){(rlim_t)next, old.rlim_max};
    SYS(setrlimit(RLIMIT_NOFILE, &low));
    SAY(socket(AF_INET, SOCK_STREAM, 0));
    SAY(dup(s));
    SAY(fcntl(s, F_DUPFD, 0));
    SAY(dup2(s, next));
    SYS(setrlimit(RLIMIT_NOFILE, &old));
    SAY(close(s));
    SAY(close(f));
    SAY(close(next - 1)); /* the first dup */
}

/* closefrom ends with every descriptor closed, so it runs in a child with stdout kept */
static void closes_from(void) {
    pid_t pid;
    printf("-- closefrom\n");
    fflush(stdout);
    if ((pid = SYS(fork())) == 0) {
        child_story(20);
        int a = SYS(dup(0)), b = SYS(dup2(0, 200)), c = SYS(dup2(0, 500));
        errno = 77;
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34)
        closefrom(3);
#else
        close_range(3, ~0U, 0);
#endif
#endif
        printf("    errno %d open %d %d %d %d\n", errno, fcntl(a, F_GETFD), fcntl(b, F_GETFD), fcntl(c, F_GETFD), fcntl(1, F_GETFD));
        fflush(stdout);
        errno = 77;
        _exit(0);
    }
    reap(pid);
}

static void connections(void) {
    int port, l = listen_loopback(&port), c, a, n;
    struct sockaddr_in here = loopback(port), peer, none = loopback(1);
    socklen_t len = sizeof peer, shorter = 4;
    printf("-- connections\n");
    c = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(c, (struct sockaddr *)&here, 3));
    SAY(connect(c, BAD, sizeof here));
    SAY(connect(NOFD, (struct sockaddr *)&here, sizeof here));
    SAY(connect(-1, (struct sockaddr *)&here, sizeof here));
    SAY(connect(0, (struct sockaddr *)&here, sizeof here));
    SAY(connect(c, (struct sockaddr *)&(struct sockaddr){.sa_family = 999}, sizeof here));
    SAY(send(c, "early", 5, MSG_NOSIGNAL));
    SAY(recv(c, buf, four, 0));
    SAY(connect(c, (struct sockaddr *)&here, sizeof here));
    SAY(connect(c, (struct sockaddr *)&here, sizeof here));
    SAY(accept(l, (struct sockaddr *)&peer, &len)); printf("    address %d %d\n", peer.sin_family, (int)len);
    SYS(fcntl(l, F_SETFL, O_NONBLOCK));
    SAY(accept(l, NULL, NULL));
    SAY(accept4(l, NULL, NULL, SOCK_CLOEXEC));
    SAY(accept4(l, NULL, NULL, 0x77));
    SAY(accept(NOFD, NULL, NULL));
    SAY(accept(-1, NULL, NULL));
    SAY(accept(0, NULL, NULL));
    SAY(accept(c, NULL, NULL));
    SAY(accept4(NOFD, NULL, NULL, 0));
    SYS(fcntl(l, F_SETFL, 0));
    a = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SYS(connect(a, (struct sockaddr *)&here, sizeof here));
    SAY(accept4(l, (struct sockaddr *)&peer, &shorter, SOCK_CLOEXEC | SOCK_NONBLOCK)); printf("    length %d\n", (int)shorter);
    n = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SYS(connect(n, (struct sockaddr *)&here, sizeof here));
    SAY(accept(l, BAD, &len));
    int refused = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SAY(connect(refused, (struct sockaddr *)&none, sizeof none)); /* the one connect failure that is a span */
    SAY(shutdown(refused, SHUT_RDWR));
    SAY(shutdown(c, 99));
    SAY(shutdown(NOFD, SHUT_WR));
    SAY(shutdown(0, SHUT_WR));
    SAY(shutdown(c, SHUT_WR));
    SAY(send(c, "late", 4, MSG_NOSIGNAL));
    SAY(close_range(3, 60, 0));
}

static void transfers(void) {
    int c, s;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    struct iovec in[3] = {{buf, 2}, {NULL, 0}, {buf + 2, 30}};
    struct iovec out[3] = {{"ping", 4}, {NULL, 0}, {"pong", 4}};
    struct msghdr m = {.msg_iov = in, .msg_iovlen = 3}, o = {.msg_iov = out, .msg_iovlen = 3};
    struct mmsghdr mm[2] = {{.msg_hdr = o}, {.msg_hdr = o}}, rr[2] = {{.msg_hdr = m}, {.msg_hdr = m}};
    printf("-- transfers\n");
    tcp_pair(&c, &s);
    SAY(recv(s, buf, four, MSG_DONTWAIT));
    SAY(recv(s, buf, 0, MSG_DONTWAIT));
    SAY(send(c, "", 0, 0));
    SAY(send(c, "hello world", 11, MSG_NOSIGNAL));
    SAY(poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 5000));
    SAY(recv(s, buf, four, MSG_PEEK)); data(4);
    SAY(recv(s, buf, four, MSG_PEEK | MSG_DONTWAIT)); data(4);
    SAY(recv(s, buf, four, MSG_TRUNC)); /* TCP: four bytes thrown away */
    SAY(recv(s, buf, four, 0)); data(4);
    SAY(recvfrom(s, buf, big, 0, (struct sockaddr *)&peer, &len)); data(4), printf("    length %d\n", (int)len);
    SAY(recv(s, BAD, 4, MSG_DONTWAIT));
    SAY(recv(NOFD, buf, four, 0));
    SAY(recv(-1, buf, four, 0));
    SAY(recv(0, buf, four, 0));
    SAY(recv(s, buf, four, MSG_OOB));
    SAY(recvfrom(NOFD, buf, four, 0, NULL, NULL));
    SAY(send(c, BAD, 4, 0));
    SAY(send(c, NOWHERE, 4, 0));
    SAY(send(NOFD, "x", 1, 0));
    SAY(send(-1, "x", 1, 0));
    SAY(send(0, "x", 1, 0));
    SAY(sendto(c, "to", 2, 0, NULL, 0));
    SAY(sendto(c, "to", 2, 0, (struct sockaddr *)BAD, 16));
    SAY(sendto(NOFD, "to", 2, 0, NULL, 0));
    SAY(sendmsg(c, &o, MSG_NOSIGNAL));
    SAY(sendmsg(c, NULL, 0));
    SAY(sendmsg(c, BAD, 0));
    SAY(sendmsg(NOFD, &o, 0));
    SAY(sendmsg(c, &(struct msghdr){0}, 0));
    SAY(sendmsg(c, &(struct msghdr){.msg_iov = BAD, .msg_iovlen = 2}, 0));
    SAY(sendmsg(c, &(struct msghdr){.msg_iov = many, .msg_iovlen = IOV_MAX + 1}, 0));
    SAY(writev(c, (struct iovec[]){{BAD, 4}}, 1));
    SAY(writev(c, many, IOV_MAX + 1));
    SAY(sendmmsg(c, mm, 2, MSG_NOSIGNAL)); printf("    lengths %u %u\n", mm[0].msg_len, mm[1].msg_len);
    SAY(sendmmsg(c, mm, 0, 0));
    SAY(sendmmsg(c, NULL, 2, 0));
    SAY(sendmmsg(NOFD, mm, 2, 0));
    SAY(in_all(IN_READ, s, buf, 8)); data(8);
    SAY(in_all(IN_RECVMSG, s, buf, 10)); data(10);
    SAY(recvmsg(s, &m, MSG_DONTWAIT)); data(8);
    SAY(recvmsg(s, &m, MSG_DONTWAIT));
    SAY(recvmsg(s, NULL, MSG_DONTWAIT));
    SAY(recvmsg(NOFD, &m, 0));
    SAY(send(c, "abcdef", 6, 0));
    SAY(recvmmsg(s, rr, 2, MSG_WAITFORONE, NULL)); printf("    length %u\n", rr[0].msg_len), data(6);
    SAY(recvmmsg(s, rr, 2, MSG_DONTWAIT, NULL));
    SAY(recvmmsg(s, NULL, 2, MSG_DONTWAIT, NULL));
    SAY(recvmmsg(NOFD, rr, 2, 0, NULL));
    SAY(recvmmsg(s, rr, 2, 0, &(struct timespec){-1, 0}));
    SAY(write(c, "123456", 6));
    SAY(__read_chk(s, buf, four, sizeof buf)); data(4);
    SAY(__recv_chk(s, buf, 1, sizeof buf, 0)); data(1);
    SAY(__recvfrom_chk(s, buf, 1, sizeof buf, 0, NULL, NULL)); data(1);
    SAY(__read_chk(NOFD, buf, four, sizeof buf));
    SAY(__recv_chk(s, buf, four, sizeof buf, MSG_DONTWAIT));
    SAY(__recvfrom_chk(s, buf, four, sizeof buf, MSG_DONTWAIT, NULL, NULL));
    /* the same failures once a connection is known to be HTTP */
    SYS(close(c));
    SYS(close(s));
    tcp_pair(&c, &s);
    char text[HTTP_MAX];
    size_t n = http_request_text(text, "/canary");
    out_all(OUT_WRITE, c, text, n);
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/canary");
    SAY(write(c, BAD, 4));
    SAY(write(c, "", 0));
    SAY(writev(c, (struct iovec[]){{BAD, 4}}, 1));
    SAY(sendmsg(c, &(struct msghdr){.msg_iov = BAD, .msg_iovlen = 2}, 0));
    SAY(read(s, BAD, 0));
    SAY(recv(s, buf, four, MSG_DONTWAIT));
    SAY(recvmsg(s, BAD, MSG_DONTWAIT));
    SAY(shutdown(c, SHUT_WR));
    SAY(read(s, buf, four));
    SAY(close(c));
    SAY(close(s));
    /* datagrams: truncation and message borders */
    struct sockaddr_in here = loopback(0);
    len = sizeof here;
    s = SYS(socket(AF_INET, SOCK_DGRAM, 0));
    SYS(bind(s, (struct sockaddr *)&here, sizeof here));
    SYS(getsockname(s, (struct sockaddr *)&here, &len));
    c = SYS(socket(AF_INET, SOCK_DGRAM, 0));
    SAY(sendto(c, "GET /datagram HTTP/1.1\r\n\r\n", 26, 0, (struct sockaddr *)&here, sizeof here));
    SAY(recv(s, buf, four, MSG_PEEK | MSG_TRUNC)); data(4);
    SAY(recvfrom(s, buf, big, 0, NULL, NULL)); data(26);
    SAY(sendto(c, "", 0, 0, (struct sockaddr *)&here, sizeof here));
    SAY(recv(s, buf, big, 0));
    SAY(sendto(c, "x", 1, 0, NULL, 0));
    SAY(connect(c, (struct sockaddr *)&here, sizeof here));
    SAY(sendmmsg(c, mm, 2, 0));
    SAY(recvmmsg(s, rr, 2, 0, NULL)); printf("    lengths %u %u\n", rr[0].msg_len, rr[1].msg_len), data(8);
    SAY(connect(c, (struct sockaddr *)&(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof here));
    SAY(close(c));
    SAY(close(s));
}

static void resolver(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *list = NULL;
    printf("-- getaddrinfo\n");
#define LOOKUP(...)                                                                        \
    do {                                                                                   \
        int r_ = getaddrinfo(__VA_ARGS__, &hints, &list);                                  \
        printf("%3d getaddrinfo(%s) = %d\n", __LINE__, #__VA_ARGS__, r_);                  \
        if (r_ == 0) {                                                                     \
            for (struct addrinfo *i = list; i; i = i->ai_next) printf("    family %d type %d length %d\n", i->ai_family, i->ai_socktype, (int)i->ai_addrlen); \
            freeaddrinfo(list);                                                            \
        }                                                                                  \
    } while (0)
    LOOKUP("127.0.0.1", "80");
    LOOKUP("::1", NULL);
    LOOKUP(NULL, "8080");
    LOOKUP("not-a-number.invalid", "80");
    LOOKUP(NULL, NULL);
    LOOKUP("127.0.0.1", "no-such-service-here");
    hints.ai_family = 999;
    LOOKUP("127.0.0.1", "80");
    hints.ai_family = AF_INET6;
    LOOKUP("127.0.0.1", "80");
    hints = (struct addrinfo){.ai_flags = 0x7fff0000};
    LOOKUP("127.0.0.1", "80");
    hints = (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    LOOKUP("localhost", "80");
}

static void numbers(void) {
    int c, s, fd;
    struct iovec v = {buf, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    printf("-- syscall()\n");
    SAY(syscall(SYS_getpid) == getpid());
    SAY(syscall(SYS_gettid) == getpid());
    SAY(syscall(SYS_getppid) == getppid());
    SAY(syscall(100000L));
    SAY(syscall(-1L));
    tcp_pair(&c, &s);
    SAY(syscall(SYS_write, c, "abcd", 4L));
    SAY(syscall(SYS_read, s, buf, 4L)); data(4);
    SAY(syscall(SYS_sendto, c, "efgh", 4L, MSG_NOSIGNAL, NULL, 0L));
    SAY(syscall(SYS_recvfrom, s, buf, 4L, 0L, NULL, NULL)); data(4);
    SAY(syscall(SYS_writev, c, &(struct iovec){"ijkl", 4}, 1L));
    SAY(syscall(SYS_readv, s, &v, 1L)); data(4);
    SAY(syscall(SYS_sendmsg, c, &(struct msghdr){.msg_iov = &(struct iovec){"mnop", 4}, .msg_iovlen = 1}, 0L));
    SAY(syscall(SYS_recvmsg, s, &m, 0L)); data(4);
    SAY(syscall(SYS_sendmmsg, c, &(struct mmsghdr){.msg_hdr = {.msg_iov = &(struct iovec){"qrst", 4}, .msg_iovlen = 1}}, 1L, 0L));
    SAY(syscall(SYS_recvmmsg, s, &mm, 1L, 0L, NULL)); data(4);
    SAY(syscall(SYS_read, s, BAD, 0L));
    SAY(syscall(SYS_write, c, BAD, 4L));
    SAY(syscall(SYS_read, (long)NOFD, buf, 4L));
    SAY(syscall(SYS_recvfrom, s, buf, 4L, (long)MSG_DONTWAIT, NULL, NULL));
    SAY(fd = (int)syscall(SYS_socket, (long)AF_INET, (long)SOCK_STREAM, 0L));
    SAY(syscall(SYS_connect, (long)fd, BAD, 16L));
    SAY(syscall(SYS_accept, (long)fd, NULL, NULL));
    SAY(syscall(SYS_accept4, (long)fd, NULL, NULL, 0L));
    SAY(syscall(SYS_shutdown, (long)fd, (long)SHUT_RD));
#ifdef SYS_dup2
    SAY(syscall(SYS_dup2, (long)fd, 40L));
#endif
    SAY(syscall(SYS_dup3, (long)fd, 41L, 0L));
    SAY(syscall(SYS_dup, (long)fd));
    SAY(syscall(SYS_fcntl, (long)fd, (long)F_DUPFD, 45L));
    SAY(syscall(SYS_close_range, 40L, 45L, 0L));
    SAY(syscall(SYS_sendfile, (long)c, (long)NOFD, NULL, 4L));
    SAY(syscall(SYS_splice, (long)NOFD, NULL, (long)c, NULL, 4L, 0L));
    SAY(syscall(SYS_close, (long)fd));
    SAY(syscall(SYS_close, (long)fd));
    SAY(syscall(SYS_mmap, NULL, 4096L, (long)(PROT_READ | PROT_WRITE), (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L) > 4096); /* six arguments */
    SAY(close(c));
    SAY(close(s));
}

static void processes(void) {
    pid_t pid;
    int status = 0;
    printf("-- processes\n");
    fflush(stdout);
    errno = 77;
    if ((pid = fork()) == 0) {
        child_story(20);
        printf("    in the child: errno %d, getpid is fresh: %d\n", errno, getpid() == (pid_t)syscall(SYS_getpid));
        fflush(stdout);
        _exit(41);
    }
    printf("    fork: %d errno %d\n", pid > 0, errno);
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("    status 0x%x\n", status);
    fflush(stdout);
    errno = 77;
    if ((pid = vfork()) == 0) _exit(42);
    printf("    vfork: %d errno %d\n", pid > 0, errno);
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("    status 0x%x\n", status);
    fflush(stdout);
    /* a fortified read that is too long ends the process as it always did */
    if ((pid = SYS(fork())) == 0) {
        int null = SYS(open("/dev/null", O_WRONLY));
        SYS(dup2(null, 2));
        SYS(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
        CHECK(__read_chk(null, buf, four * 100, sizeof buf) == 0); /* does not return */
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("    overflow: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    SAY(waitpid(-1, &status, WNOHANG)); /* no child that we did not make */
    SAY(open("/tmp/no/such/dir", O_CREAT | O_WRONLY, 0640));
}

int main(void) {
    static char byte;
    story(60);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) many[i] = (struct iovec){&byte, 1};
    files_and_pipes();
    fflush(stdout);
    descriptors();
    closes_from();
    connections();
    transfers();
    resolver();
    numbers();
    processes();
    return finish(1, 2); /* one exchange with ourselves, one refused connect */
}
