/* SPDX-License-Identifier: BSD-2-Clause */
/* opt.c - socket options: one table says what there is; all else is ENOPROTOOPT.
 *
 * An option of the stack's is a row with its scale; one that means nothing here is a row that
 * remembers its value; the rest have functions. */
#include "posix_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define NONE     (-1)
#define ANY_TYPE 0

struct row {
    int level, name;
    int type;       /* SOCK_STREAM, or ANY_TYPE */
    int core;       /* enum estab_opt, or NONE */
    uint64_t scale; /* what 1 is in the stack */
    long long lo, hi;
    /* Instead of the stack: an errno each.  set NULL: cannot be set; get NULL: as it was set. */
    int (*set)(struct file *f, int val);
    int (*get)(struct file *f, int *val);
};

/* ---- options with functions ---- */

static int set_nothing(struct file *f, int val)
{
    (void)f;
    (void)val;
    return 0;
}

static int get_error(struct file *f, int *val)
{
    uint64_t err = 0;

    *val = f->told;
    f->told = 0;
    if (*val)
        return 0;
    (void)estab_getopt(f->p->stack, f->k, ESTAB_O_ERROR, &err);
    *val = err ? estab_errno(-(int)err) : 0;
    return 0;
}

static int get_type(struct file *f, int *val)
{
    *val = f->type;
    return 0;
}

static int get_protocol(struct file *f, int *val)
{
    *val = f->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    return 0;
}

static int get_domain(struct file *f, int *val)
{
    *val = f->domain;
    return 0;
}

static int get_acceptconn(struct file *f, int *val)
{
    *val = f->listening;
    return 0;
}

static int keepalive_apply(struct file *f)
{
    estab_stack *s = f->p->stack;

    (void)estab_setopt(s, f->k, ESTAB_O_KEEPCNT, f->keepcnt);
    (void)estab_setopt(s, f->k, ESTAB_O_KEEPINTVL, ESTAB_S(f->keepintvl));
    return estab_errno(
        estab_setopt(s, f->k, ESTAB_O_KEEPIDLE, f->keepalive ? ESTAB_S(f->keepidle) : 0));
}

static int set_keepalive(struct file *f, int val)
{
    f->keepalive = val != 0;
    return f->type == SOCK_STREAM ? keepalive_apply(f) : 0;
}

static int get_keepalive(struct file *f, int *val)
{
    *val = f->keepalive;
    return 0;
}

static int set_keepidle(struct file *f, int val)
{
    f->keepidle = (uint32_t)val;
    return keepalive_apply(f);
}

static int get_keepidle(struct file *f, int *val)
{
    *val = (int)f->keepidle;
    return 0;
}

static int set_keepintvl(struct file *f, int val)
{
    f->keepintvl = (uint32_t)val;
    return keepalive_apply(f);
}

static int get_keepintvl(struct file *f, int *val)
{
    *val = (int)f->keepintvl;
    return 0;
}

static int set_keepcnt(struct file *f, int val)
{
    f->keepcnt = (uint32_t)val;
    return keepalive_apply(f);
}

static int get_keepcnt(struct file *f, int *val)
{
    *val = (int)f->keepcnt;
    return 0;
}

/* Linux doubles the value, for what it needs besides the octets, bounds it by net.core.[rw]mem_max
 * from above and by a packet from below, and says the result when asked: socket(7). */
static int buffer_size(int val, int least)
{
    const int most = 212992;

    val = val < 0 || val > most ? most : val;
    return 2 * val < least ? least : 2 * val;
}

static int get_buffer(struct file *f, enum estab_opt opt, int set, int *val)
{
    uint64_t n = 0;
    int err = estab_getopt(f->p->stack, f->k, opt, &n);

    *val = set ? set : (int)n;
    return estab_errno(err);
}

static int set_buffer(struct file *f, enum estab_opt opt, int doubled)
{
    const int least = 2048; /* the stack's */

    return estab_errno(estab_setopt(f->p->stack, f->k, opt,
                                    (uint64_t)(doubled / 2 < least ? least : doubled / 2)));
}

static int set_sndbuf(struct file *f, int val)
{
    const int least = 4608;

    f->sndbuf_set = buffer_size(val, least);
    return set_buffer(f, ESTAB_O_SNDBUF, f->sndbuf_set);
}

static int get_sndbuf(struct file *f, int *val)
{
    return get_buffer(f, ESTAB_O_SNDBUF, f->sndbuf_set, val);
}

static int set_rcvbuf(struct file *f, int val)
{
    const int least = 2304;

    f->rcvbuf_set = buffer_size(val, least);
    return set_buffer(f, ESTAB_O_RCVBUF, f->rcvbuf_set);
}

static int get_rcvbuf(struct file *f, int *val)
{
    return get_buffer(f, ESTAB_O_RCVBUF, f->rcvbuf_set, val);
}

/* SO_MAX_PACING_RATE: as Linux with internal pacing; all ones: as fast as it likes. */
static int set_max_pacing(struct file *f, int val)
{
    uint64_t rate = val == -1 ? 0 : (uint32_t)val;

    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_PACING_RATE, rate));
}

static int get_max_pacing(struct file *f, int *val)
{
    uint64_t rate = 0;
    int err = estab_getopt(f->p->stack, f->k, ESTAB_O_PACING_RATE, &rate);

    *val = rate == 0 || rate > UINT32_MAX ? -1 : (int)(uint32_t)rate;
    return estab_errno(err);
}

static int set_maxseg(struct file *f, int val)
{
    if (val != 0 && val < 88)
        return EINVAL;
    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_MAXSEG, (uint64_t)val));
}

/* Of a connection the size in force; before that, what was asked for, or RFC 9293's default. */
static int get_maxseg(struct file *f, int *val)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t asked = 0;

    (void)estab_tcp_info(f->p->stack, f->k, &i);
    (void)estab_getopt(f->p->stack, f->k, ESTAB_O_MAXSEG, &asked);
    *val = (int)(i.snd_mss && i.state != ESTAB_CLOSED ? i.snd_mss : asked ? asked : 536);
    return 0;
}

/* -1 is the default. */
static int set_ttl(struct file *f, int val)
{
    const int usual = 64;

    if (val < -1 || val == 0 || val > 255)
        return EINVAL;
    return estab_errno(
        estab_setopt(f->p->stack, f->k, ESTAB_O_HOP_LIMIT, (uint64_t)(val < 0 ? usual : val)));
}

static int set_tclass(struct file *f, int val)
{
    if (val < -1 || val > 255)
        return EINVAL;
    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_TOS, (uint64_t)(val < 0 ? 0 : val)));
}

static int set_tos(struct file *f, int val)
{
    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_TOS, (uint64_t)(val & 0xff)));
}

/* 0 is 1; a negative one is as much as can be. */
static int set_rcvlowat(struct file *f, int val)
{
    const int none = INT32_MAX;

    if (f->type != SOCK_STREAM)
        return 0;
    return estab_errno(
        estab_setopt(f->p->stack, f->k, ESTAB_O_RCVLOWAT, (uint64_t)(val < 0 ? none : val)));
}

static int get_rcvlowat(struct file *f, int *val)
{
    uint64_t n = 0;

    if (f->type == SOCK_STREAM)
        (void)estab_getopt(f->p->stack, f->k, ESTAB_O_RCVLOWAT, &n);
    *val = n ? (int)n : 1;
    return 0;
}

/* Linux counts timeouts of the SYN,ACK, 1 s and doubling, and says how long as many take. */
static int get_deferaccept(struct file *f, int *val)
{
    uint64_t ns = 0;
    int seconds = 0, timeout = 1;
    int err = estab_errno(estab_getopt(f->p->stack, f->k, ESTAB_O_DEFER_ACCEPT, &ns));

    while (ESTAB_S((uint64_t)seconds) < ns) {
        seconds += timeout;
        timeout *= 2;
    }
    *val = seconds;
    return err;
}

static int set_deferaccept(struct file *f, int val)
{
    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_DEFER_ACCEPT,
                                    ESTAB_S((uint64_t)(val < 0 ? 0 : val))));
}

/* TCP_FASTOPEN_CONNECT: the opening waits for what is sent first, if a cookie is there. */
static int set_fast_open_connect(struct file *f, int val)
{
    if (val < 0 || val > 1)
        return EINVAL;
    f->fast_open = val;
    return estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_FASTOPEN, (uint64_t)val));
}

static int get_fast_open_connect(struct file *f, int *val)
{
    *val = f->fast_open;
    return 0;
}

#define CORE(level, name, opt, scale, lo, hi)                                                      \
    {                                                                                              \
        level, name, SOCK_STREAM, opt, scale, lo, hi, NULL, NULL                                   \
    }
#define STORED(level, name)                                                                        \
    {                                                                                              \
        level, name, ANY_TYPE, NONE, 1, INT32_MIN, INT32_MAX, set_nothing, NULL                    \
    }
#define CALLED(level, name, type, lo, hi, set, get)                                                \
    {                                                                                              \
        level, name, type, NONE, 1, lo, hi, set, get                                               \
    }

static const struct row rows[] = {
    /* the first ones have a place in struct file's `stored`: STORED_... */
    STORED(SOL_SOCKET, SO_OOBINLINE), /* it always is, RFC 6093 */
    STORED(SOL_SOCKET, SO_BROADCAST),
    STORED(SOL_SOCKET, SO_PRIORITY),
    STORED(IPPROTO_IP, IP_PKTINFO),
    STORED(IPPROTO_IP, IP_RECVTTL),
    STORED(IPPROTO_IP, IP_RECVTOS),
    STORED(IPPROTO_IPV6, IPV6_RECVPKTINFO),
    STORED(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
    STORED(IPPROTO_IPV6, IPV6_RECVTCLASS),
    {SOL_SOCKET, SO_REUSEADDR, ANY_TYPE, ESTAB_O_REUSEADDR, 1, INT32_MIN, INT32_MAX, NULL, NULL},
    {SOL_SOCKET, SO_REUSEPORT, ANY_TYPE, ESTAB_O_REUSEPORT, 1, INT32_MIN, INT32_MAX, NULL, NULL},
    {IPPROTO_IPV6, IPV6_V6ONLY, ANY_TYPE, ESTAB_O_V6ONLY, 1, INT32_MIN, INT32_MAX, NULL, NULL},
    CALLED(SOL_SOCKET, SO_ERROR, ANY_TYPE, 0, 0, NULL, get_error),
    CALLED(SOL_SOCKET, SO_TYPE, ANY_TYPE, 0, 0, NULL, get_type),
    CALLED(SOL_SOCKET, SO_PROTOCOL, ANY_TYPE, 0, 0, NULL, get_protocol),
    CALLED(SOL_SOCKET, SO_DOMAIN, ANY_TYPE, 0, 0, NULL, get_domain),
    CALLED(SOL_SOCKET, SO_ACCEPTCONN, ANY_TYPE, 0, 0, NULL, get_acceptconn),
    CALLED(SOL_SOCKET, SO_KEEPALIVE, ANY_TYPE, INT32_MIN, INT32_MAX, set_keepalive, get_keepalive),
    CALLED(SOL_SOCKET, SO_SNDBUF, ANY_TYPE, INT32_MIN, INT32_MAX, set_sndbuf, get_sndbuf),
    CALLED(SOL_SOCKET, SO_RCVBUF, ANY_TYPE, INT32_MIN, INT32_MAX, set_rcvbuf, get_rcvbuf),
    CORE(IPPROTO_TCP, TCP_NODELAY, ESTAB_O_NODELAY, 1, INT32_MIN, INT32_MAX),
    {SOL_SOCKET, SO_MAX_PACING_RATE, SOCK_STREAM, ESTAB_O_PACING_RATE, 1, INT32_MIN, INT32_MAX,
     set_max_pacing, get_max_pacing},
    CALLED(SOL_SOCKET, SO_RCVLOWAT, ANY_TYPE, INT32_MIN, INT32_MAX, set_rcvlowat, get_rcvlowat),
    CALLED(IPPROTO_TCP, TCP_DEFER_ACCEPT, SOCK_STREAM, INT32_MIN, INT32_MAX, set_deferaccept,
           get_deferaccept),
    CORE(IPPROTO_TCP, TCP_CORK, ESTAB_O_CORK, 1, INT32_MIN, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_NOTSENT_LOWAT, ESTAB_O_NOTSENT_LOWAT, 1, 0, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_FASTOPEN, ESTAB_O_FASTOPEN, 1, 0, UINT16_MAX),
    CALLED(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, SOCK_STREAM, INT32_MIN, INT32_MAX,
           set_fast_open_connect, get_fast_open_connect),
    CORE(IPPROTO_TCP, TCP_USER_TIMEOUT, ESTAB_O_USER_TIMEOUT, ESTAB_MS(1), 0, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_QUICKACK, ESTAB_O_QUICKACK, 1, INT32_MIN, INT32_MAX),
    CALLED(IPPROTO_TCP, TCP_MAXSEG, SOCK_STREAM, 0, 32767, set_maxseg, get_maxseg),
    CALLED(IPPROTO_TCP, TCP_KEEPIDLE, SOCK_STREAM, 1, 32767, set_keepidle, get_keepidle),
    CALLED(IPPROTO_TCP, TCP_KEEPINTVL, SOCK_STREAM, 1, 32767, set_keepintvl, get_keepintvl),
    CALLED(IPPROTO_TCP, TCP_KEEPCNT, SOCK_STREAM, 1, 127, set_keepcnt, get_keepcnt),
    {IPPROTO_IP, IP_TTL, ANY_TYPE, ESTAB_O_HOP_LIMIT, 1, -1, 255, set_ttl, NULL},
    {IPPROTO_IP, IP_TOS, ANY_TYPE, ESTAB_O_TOS, 1, INT32_MIN, INT32_MAX, set_tos, NULL},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, ANY_TYPE, ESTAB_O_HOP_LIMIT, 1, -1, 255, set_ttl, NULL},
    {IPPROTO_IPV6, IPV6_TCLASS, ANY_TYPE, ESTAB_O_TOS, 1, INT32_MIN, INT32_MAX, set_tclass, NULL},
};
enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(STORED_ROWS <= (int)(sizeof((struct file *)0)->stored / sizeof(int)),
               "a place for every stored row");

static int row_of(const struct file *f, int level, int name)
{
    if (level == IPPROTO_IPV6 && f->domain != AF_INET6)
        return -1;
    for (int i = 0; i < ROWS; i++)
        if (rows[i].level == level && rows[i].name == name &&
            (rows[i].type == ANY_TYPE || rows[i].type == f->type))
            return i;
    return -1;
}

static bool is_flag(const struct row *r)
{
    return r->lo == INT32_MIN;
}

static int set_row(struct file *f, int i, int val)
{
    const struct row *r = &rows[i];
    int err;

    if (r->core == NONE && !r->set)
        return ENOPROTOOPT;
    if (val < r->lo || val > r->hi)
        return EINVAL;
    if (r->set)
        err = r->set(f, val);
    else
        err = estab_errno(estab_setopt(f->p->stack, f->k, (enum estab_opt)r->core,
                                       is_flag(r) ? val != 0 : (uint64_t)val * r->scale));
    if (!err && i < STORED_ROWS)
        f->stored[i] = i == STORED_PRIORITY ? val : val != 0;
    return err;
}

static int get_row(struct file *f, int i, int *val)
{
    const struct row *r = &rows[i];
    uint64_t n = 0;
    int err;

    if (r->get)
        return r->get(f, val);
    if (r->core == NONE) {
        *val = f->stored[i];
        return 0;
    }
    err = estab_getopt(f->p->stack, f->k, (enum estab_opt)r->core, &n);
    *val = (int)(n / r->scale);
    return estab_errno(err);
}

/* What was set on the connection before goes on to the one that takes its place. */
void opt_carry(const struct file *f, estab_sock to)
{
    uint64_t val;

    for (int i = 0; i < ROWS; i++)
        if (rows[i].core != NONE && rows[i].core != ESTAB_O_USER_TIMEOUT &&
            (rows[i].level != IPPROTO_IPV6 || f->domain == AF_INET6) &&
            estab_getopt(f->p->stack, f->k, (enum estab_opt)rows[i].core, &val) == 0)
            (void)estab_setopt(f->p->stack, to, (enum estab_opt)rows[i].core, val);
}

void opt_apply(struct file *f)
{
    if (f->sndbuf_set)
        (void)set_buffer(f, ESTAB_O_SNDBUF, f->sndbuf_set);
    if (f->rcvbuf_set)
        (void)set_buffer(f, ESTAB_O_RCVBUF, f->rcvbuf_set);
    if (f->keepalive)
        (void)keepalive_apply(f);
}

void opt_inherit(struct file *f, const struct file *from)
{
    f->keepalive = from->keepalive;
    f->keepidle = from->keepidle;
    f->keepintvl = from->keepintvl;
    f->keepcnt = from->keepcnt;
    f->rcvtimeo = from->rcvtimeo;
    f->sndtimeo = from->sndtimeo;
    f->linger_on = from->linger_on;
    f->linger_s = from->linger_s;
    f->sndbuf_set = from->sndbuf_set;
    f->rcvbuf_set = from->rcvbuf_set;
    memcpy(f->stored, from->stored, sizeof f->stored);
    if (f->keepalive)
        (void)keepalive_apply(f);
}

/* ---- options that are no int ---- */

static int set_linger(struct file *f, const void *val, socklen_t len)
{
    struct linger l;

    if (len < sizeof l)
        return EINVAL;
    memcpy(&l, val, sizeof l);
    f->linger_on = l.l_onoff != 0;
    if (f->linger_on)
        f->linger_s = l.l_linger;
    return 0;
}

static int given(size_t n, socklen_t *len)
{
    *len = (socklen_t)n;
    return 0;
}

/* Linux's socket is closed while the connection is in TIME-WAIT. */
static size_t tcp_info(const struct file *f, void *buf, size_t len)
{
    struct estab_tcp_info i = {.size = sizeof i};

    (void)estab_tcp_info(f->p->stack, f->k, &i);
    if (i.state == ESTAB_TIME_WAIT)
        i.state = ESTAB_CLOSED;
    return estab_linux_tcp_info(&i, buf, len);
}

/* ENOPROTOOPT: it is none of these. */
static int set_special(struct file *f, int level, int name, const void *val, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(f, val, len);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return estab_linux_timeout(val, len, &f->rcvtimeo);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return estab_linux_timeout(val, len, &f->sndtimeo);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION && f->type == SOCK_STREAM)
        return estab_linux_set_cc(f->p->stack, f->k, val, len);
    return ENOPROTOOPT;
}

static int get_special(struct file *f, int level, int name, void *val, socklen_t *len)
{
    struct linger l = {f->linger_on, f->linger_s};

    if (level == SOL_SOCKET && name == SO_LINGER)
        return given(estab_linux_give(&l, sizeof l, val, *len), len);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return given(estab_linux_give_timeout(f->rcvtimeo, val, *len), len);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return given(estab_linux_give_timeout(f->sndtimeo, val, *len), len);
    if (f->domain == AF_INET && level != SOL_SOCKET && level != IPPROTO_IP &&
        (level != IPPROTO_TCP || f->type != SOCK_STREAM))
        return EOPNOTSUPP; /* as Linux has it, of getsockopt alone */
    if (level != IPPROTO_TCP || f->type != SOCK_STREAM)
        return ENOPROTOOPT;
    if (name == TCP_CONGESTION)
        return given(estab_linux_give_cc(f->p->stack, f->k, val, *len), len);
    if (name == TCP_INFO)
        return given(tcp_info(f, val, *len), len);
    return ENOPROTOOPT;
}

/* ---- the calls ---- */

int estab_posix_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    enum whose whose;
    struct file *f;
    int n, i, err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_setopt(f, level, name, val, len);
    if (whose != OURS)
        return whose == THEIRS ? setsockopt(fd, level, name, val, len) : -1;
    if (!val)
        return (int)call_end(f, -1, EFAULT);
    i = row_of(f, level, name);
    if (i < 0)
        return (int)call_end(f, 0, set_special(f, level, name, val, len));
    if (len < sizeof n && !(level == IPPROTO_IP && len >= 1))
        return (int)call_end(f, -1, EINVAL);
    n = *(const uint8_t *)val;
    if (len >= sizeof n)
        memcpy(&n, val, sizeof n);
    err = set_row(f, i, n);
    return (int)call_end(f, 0, err);
}

int estab_posix_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    enum whose whose;
    struct file *f;
    int n = 0, i, err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_getopt(f, level, name, val, len);
    if (whose != OURS)
        return whose == THEIRS ? getsockopt(fd, level, name, val, len) : -1;
    if (!val || !len)
        return (int)call_end(f, -1, EFAULT);
    if ((int)*len < 0)
        return (int)call_end(f, -1, EINVAL);
    i = row_of(f, level, name);
    if (i < 0)
        return (int)call_end(f, 0, get_special(f, level, name, val, len));
    err = get_row(f, i, &n);
    if (!err)
        err = given(estab_linux_give(&n, sizeof n, val, *len), len);
    return (int)call_end(f, 0, err);
}
