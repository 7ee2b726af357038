/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_opt.c - socket options: one table says what there is; all else is ENOPROTOOPT.
 *
 * An option of the core is a row with its scale; one that means nothing where there is one host and
 * one link is a row that remembers its value; the rest have functions. */
#include "plug.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define NONE   (-1)
#define SECOND ESTAB_S(1)

struct row {
    int level, name;
    int core;       /* enum estab_opt, or NONE */
    uint64_t scale; /* what 1 is in the core */
    long long lo, hi;
    /* Instead of the core: an errno each.  set NULL: cannot be set; get NULL: as it was set. */
    int (*set)(struct plug *p, struct plug_file *f, int val);
    int (*get)(struct plug *p, struct plug_file *f, int *val);
};

/* ---- options with functions ---- */

static int set_nothing(struct plug *p, struct plug_file *f, int val)
{
    (void)p;
    (void)f;
    (void)val;
    return 0;
}

static int get_error(struct plug *p, struct plug_file *f, int *val)
{
    uint64_t err = 0;

    *val = f->told;
    f->told = 0;
    if (*val)
        return 0;
    (void)estab_getopt(p->stack, f->k, ESTAB_O_ERROR, &err);
    *val = err ? estab_errno(-(int)err) : 0;
    return 0;
}

static int get_type(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    (void)f;
    *val = SOCK_STREAM;
    return 0;
}

static int get_protocol(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    (void)f;
    *val = IPPROTO_TCP;
    return 0;
}

static int get_domain(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = f->domain;
    return 0;
}

static int get_acceptconn(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = f->listening;
    return 0;
}

static int keepalive_apply(struct plug *p, struct plug_file *f)
{
    (void)estab_setopt(p->stack, f->k, ESTAB_O_KEEPCNT, f->keepcnt);
    (void)estab_setopt(p->stack, f->k, ESTAB_O_KEEPINTVL, f->keepintvl);
    return estab_errno(
        estab_setopt(p->stack, f->k, ESTAB_O_KEEPIDLE, f->keepalive ? f->keepidle : 0));
}

static int set_keepalive(struct plug *p, struct plug_file *f, int val)
{
    f->keepalive = val != 0;
    return keepalive_apply(p, f);
}

static int get_keepalive(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = f->keepalive;
    return 0;
}

static int set_keepidle(struct plug *p, struct plug_file *f, int val)
{
    f->keepidle = (uint64_t)val * SECOND;
    return keepalive_apply(p, f);
}

static int get_keepidle(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = (int)(f->keepidle / SECOND);
    return 0;
}

static int set_keepintvl(struct plug *p, struct plug_file *f, int val)
{
    f->keepintvl = (uint64_t)val * SECOND;
    return keepalive_apply(p, f);
}

static int get_keepintvl(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = (int)(f->keepintvl / SECOND);
    return 0;
}

static int set_keepcnt(struct plug *p, struct plug_file *f, int val)
{
    f->keepcnt = (uint64_t)val;
    return keepalive_apply(p, f);
}

static int get_keepcnt(struct plug *p, struct plug_file *f, int *val)
{
    (void)p;
    *val = (int)f->keepcnt;
    return 0;
}

/* Linux takes twice the value, for what it needs besides the octets, and says so when asked. */
static int get_buffer(struct plug *p, struct plug_file *f, enum estab_opt opt, int *val)
{
    uint64_t n = 0;
    int err = estab_getopt(p->stack, f->k, opt, &n);

    *val = (int)(p->set.profile == PLUG_LINUX ? 2 * n : n);
    return estab_errno(err);
}

static int set_buffer(struct plug *p, struct plug_file *f, enum estab_opt opt, int val)
{
    const int least = 2048; /* the core's, in place of an error: POSIX lets a size be adjusted */

    return estab_errno(estab_setopt(p->stack, f->k, opt, (uint64_t)(val < least ? least : val)));
}

static int set_sndbuf(struct plug *p, struct plug_file *f, int val)
{
    return set_buffer(p, f, ESTAB_O_SNDBUF, val);
}

static int get_sndbuf(struct plug *p, struct plug_file *f, int *val)
{
    return get_buffer(p, f, ESTAB_O_SNDBUF, val);
}

static int set_rcvbuf(struct plug *p, struct plug_file *f, int val)
{
    return set_buffer(p, f, ESTAB_O_RCVBUF, val);
}

static int get_rcvbuf(struct plug *p, struct plug_file *f, int *val)
{
    return get_buffer(p, f, ESTAB_O_RCVBUF, val);
}

static int set_maxseg(struct plug *p, struct plug_file *f, int val)
{
    return estab_errno(estab_setopt(p->stack, f->k, ESTAB_O_MAXSEG, (uint64_t)val));
}

/* Of a connection the size in force; before that, what was asked for. */
static int get_maxseg(struct plug *p, struct plug_file *f, int *val)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t asked = 0;

    (void)estab_tcp_info(p->stack, f->k, &i);
    (void)estab_getopt(p->stack, f->k, ESTAB_O_MAXSEG, &asked);
    *val = (int)(i.snd_mss ? i.snd_mss : asked);
    return 0;
}

/* A value that was set before listen() waits for it: connecting is asked for in other ways. */
static int set_fastopen(struct plug *p, struct plug_file *f, int val)
{
    enum estab_tcp_state st = plug_state(p, f);

    if (st != ESTAB_CLOSED && st != ESTAB_LISTEN)
        return EINVAL;
    if (!f->listening || !p->set.fastopen_server)
        return 0;
    return estab_errno(estab_setopt(p->stack, f->k, ESTAB_O_FASTOPEN, (uint64_t)val));
}

static int set_fastopen_connect(struct plug *p, struct plug_file *f, int val)
{
    if (!p->set.fastopen_client)
        return EOPNOTSUPP;
    if (plug_state(p, f) != ESTAB_CLOSED)
        return EINVAL;
    f->fast = val != 0;
    return 0;
}

#define CORE(level, name, opt, scale, lo, hi)                                                      \
    {                                                                                              \
        level, name, opt, scale, lo, hi, NULL, NULL                                                \
    }
#define STORED(level, name)                                                                        \
    {                                                                                              \
        level, name, NONE, 1, INT32_MIN, INT32_MAX, set_nothing, NULL                              \
    }
#define CALLED(level, name, lo, hi, set, get)                                                      \
    {                                                                                              \
        level, name, NONE, 1, lo, hi, set, get                                                     \
    }

static const struct row rows[] = {
    CORE(IPPROTO_TCP, TCP_CORK, ESTAB_O_CORK, 1, INT32_MIN, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_NOTSENT_LOWAT, ESTAB_O_NOTSENT_LOWAT, 1, 0, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_DEFER_ACCEPT, ESTAB_O_DEFER_ACCEPT, SECOND, 0, 32767),
    CORE(IPPROTO_IPV6, IPV6_V6ONLY, ESTAB_O_V6ONLY, 1, INT32_MIN, INT32_MAX),
    CORE(SOL_SOCKET, SO_RCVLOWAT, ESTAB_O_RCVLOWAT, 1, 0, INT32_MAX),
    CORE(SOL_SOCKET, SO_REUSEADDR, ESTAB_O_REUSEADDR, 1, INT32_MIN, INT32_MAX),
    CORE(SOL_SOCKET, SO_REUSEPORT, ESTAB_O_REUSEPORT, 1, INT32_MIN, INT32_MAX),
    STORED(SOL_SOCKET, SO_OOBINLINE), /* it always is, RFC 6093 */
    STORED(SOL_SOCKET, SO_PRIORITY),
    CALLED(SOL_SOCKET, SO_ERROR, 0, 0, NULL, get_error),
    CALLED(SOL_SOCKET, SO_TYPE, 0, 0, NULL, get_type),
    CALLED(SOL_SOCKET, SO_PROTOCOL, 0, 0, NULL, get_protocol),
    CALLED(SOL_SOCKET, SO_DOMAIN, 0, 0, NULL, get_domain),
    CALLED(SOL_SOCKET, SO_ACCEPTCONN, 0, 0, NULL, get_acceptconn),
    CALLED(SOL_SOCKET, SO_KEEPALIVE, INT32_MIN, INT32_MAX, set_keepalive, get_keepalive),
    CALLED(SOL_SOCKET, SO_SNDBUF, INT32_MIN, 1 << 30, set_sndbuf, get_sndbuf),
    CALLED(SOL_SOCKET, SO_RCVBUF, INT32_MIN, 1 << 30, set_rcvbuf, get_rcvbuf),
    CALLED(SOL_SOCKET, SO_SNDBUFFORCE, INT32_MIN, 1 << 30, set_sndbuf, NULL),
    CALLED(SOL_SOCKET, SO_RCVBUFFORCE, INT32_MIN, 1 << 30, set_rcvbuf, NULL),
    CORE(IPPROTO_TCP, TCP_NODELAY, ESTAB_O_NODELAY, 1, INT32_MIN, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_USER_TIMEOUT, ESTAB_O_USER_TIMEOUT, ESTAB_MS(1), 0, INT32_MAX),
    CORE(IPPROTO_TCP, TCP_QUICKACK, ESTAB_O_QUICKACK, 1, INT32_MIN, INT32_MAX),
    CALLED(IPPROTO_TCP, TCP_MAXSEG, 88, 32767, set_maxseg, get_maxseg),
    CALLED(IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767, set_keepidle, get_keepidle),
    CALLED(IPPROTO_TCP, TCP_KEEPINTVL, 1, 32767, set_keepintvl, get_keepintvl),
    CALLED(IPPROTO_TCP, TCP_KEEPCNT, 1, 127, set_keepcnt, get_keepcnt),
    STORED(IPPROTO_TCP, TCP_INQ),
    CALLED(IPPROTO_TCP, TCP_FASTOPEN, 0, UINT16_MAX, set_fastopen, NULL),
    CALLED(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, 1, set_fastopen_connect, NULL),
    CORE(IPPROTO_TCP, TCP_USER_TIMEOUT, ESTAB_O_USER_TIMEOUT, ESTAB_MS(1), 0, INT32_MAX),
    CORE(IPPROTO_IP, IP_TTL, ESTAB_O_HOP_LIMIT, 1, 1, 255),
    CORE(IPPROTO_IP, IP_TOS, ESTAB_O_TOS, 1, 0, 255),
    CORE(IPPROTO_IPV6, IPV6_UNICAST_HOPS, ESTAB_O_HOP_LIMIT, 1, 1, 255),
    CORE(IPPROTO_IPV6, IPV6_TCLASS, ESTAB_O_TOS, 1, 0, 255),
};
enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(sizeof rows / sizeof rows[0] <= PLUG_STORED_MAX, "a place for every row");

static int row_of(int level, int name)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].level == level && rows[i].name == name)
            return i;
    return -1;
}

int plug_opt_stored(const struct plug_file *f, int level, int name)
{
    int i = row_of(level, name);

    return i >= 0 && f->stored_set[i] ? f->stored[i] : 0;
}

void plug_opt_listen(struct plug *p, struct plug_file *f, int backlog)
{
    int queue = plug_opt_stored(f, IPPROTO_TCP, TCP_FASTOPEN);

    if (queue == 0 && p->set.fastopen_all)
        queue = backlog;
    if (p->set.fastopen_server)
        (void)estab_setopt(p->stack, f->k, ESTAB_O_FASTOPEN, (uint64_t)queue);
}

static bool is_flag(const struct row *r)
{
    return r->lo == INT32_MIN;
}

static int set_row(struct plug *p, struct plug_file *f, int i, int val)
{
    const struct row *r = &rows[i];
    int err;

    if (r->core == NONE && !r->set)
        return ENOPROTOOPT;
    if (val < r->lo || val > r->hi)
        return EINVAL;
    if (r->set)
        err = r->set(p, f, val);
    else
        err = estab_errno(estab_setopt(p->stack, f->k, (enum estab_opt)r->core,
                                       is_flag(r) ? val != 0 : (uint64_t)val * r->scale));
    if (err)
        return err;
    f->stored_set[i] = true;
    f->stored[i] = val;
    return 0;
}

void plug_opt_apply(struct plug *p, struct plug_file *f)
{
    for (int i = 0; i < ROWS; i++)
        if (f->stored_set[i])
            (void)set_row(p, f, i, f->stored[i]);
}

void plug_opt_inherit(struct plug_file *f, const struct plug_file *from)
{
    f->domain = from->domain;
    f->keepalive = from->keepalive;
    f->keepidle = from->keepidle;
    f->keepintvl = from->keepintvl;
    f->keepcnt = from->keepcnt;
    f->rcvtimeo = from->rcvtimeo;
    f->sndtimeo = from->sndtimeo;
    f->linger_on = from->linger_on;
    f->linger_s = from->linger_s;
    memcpy(f->stored_set, from->stored_set, sizeof f->stored_set);
    memcpy(f->stored, from->stored, sizeof f->stored);
}

static int get_row(struct plug *p, struct plug_file *f, int i, int *val)
{
    const struct row *r = &rows[i];
    uint64_t n = 0;
    int err;

    if (r->get)
        return r->get(p, f, val);
    if (r->core == NONE) {
        *val = f->stored_set[i] ? f->stored[i] : 0;
        return 0;
    }
    err = estab_getopt(p->stack, f->k, (enum estab_opt)r->core, &n);
    *val = (int)(n / r->scale);
    return estab_errno(err);
}

/* ---- options that are no int ---- */

static int set_linger(struct plug_file *f, const void *val, socklen_t len)
{
    struct linger l;

    if (len < sizeof l)
        return EINVAL;
    memcpy(&l, val, sizeof l);
    f->linger_on = l.l_onoff != 0;
    f->linger_s = l.l_linger;
    return 0;
}

/* The keys are the stack's: all its listeners have the same. */
static int set_fastopen_key(struct plug *p, const uint8_t *keys, socklen_t len)
{
    if (len != 16 && len != 32)
        return EINVAL;
    if (len == 32)
        estab_fastopen_key(p->stack, keys + 16);
    estab_fastopen_key(p->stack, keys);
    return 0;
}

static int given(size_t n, socklen_t *len)
{
    *len = (socklen_t)n;
    return 0;
}

static size_t give_cc(const struct plug *p, const struct plug_file *f, void *buf, size_t len)
{
    char name[16] = {0};

    if (strcmp(p->set.config.profile.name, "linux") == 0)
        return estab_linux_give_cc(p->stack, f->k, buf, len);
    (void)estab_get_cc(p->stack, f->k, name);
    return estab_linux_give(name, sizeof name, buf, len);
}

/* ENOPROTOOPT: it is none of these. */
static int set_special(struct plug *p, struct plug_file *f, int level, int name, const void *val,
                       socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(f, val, len);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return estab_linux_timeout(val, len, &f->rcvtimeo);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return estab_linux_timeout(val, len, &f->sndtimeo);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return estab_linux_set_cc(p->stack, f->k, val, len);
    if (level == IPPROTO_TCP && name == TCP_FASTOPEN_KEY)
        return set_fastopen_key(p, val, len);
    return ENOPROTOOPT;
}

static int get_special(struct plug *p, struct plug_file *f, int level, int name, void *val,
                       socklen_t *len)
{
    struct linger l = {f->linger_on, f->linger_s};

    if (level == SOL_SOCKET && name == SO_LINGER)
        return given(estab_linux_give(&l, sizeof l, val, *len), len);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return given(estab_linux_give_timeout(f->rcvtimeo, val, *len), len);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return given(estab_linux_give_timeout(f->sndtimeo, val, *len), len);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return given(give_cc(p, f, val, *len), len);
    if (level == IPPROTO_TCP && name == TCP_INFO)
        return given(plug_tcp_info(p, f, val, *len), len);
    if (level == IPPROTO_TCP && name == TCP_CC_INFO)
        return given(0, len); /* no algorithm has anything of its own to show */
    if (level == SOL_SOCKET && name == SO_MEMINFO)
        return given(plug_meminfo(p, f, val, *len), len);
    return ENOPROTOOPT;
}

int plug_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len)
{
    struct plug *p = u;
    struct plug_file *f;
    int err = 0, n, i = row_of(level, name);

    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (!f)
        return (int)plug_leave(p, -1, err);
    if (!val)
        return (int)plug_leave(p, -1, EFAULT);
    if (i < 0)
        return (int)plug_leave(p, 0, set_special(p, f, level, name, val, len));
    if (len < sizeof n)
        return (int)plug_leave(p, -1, EINVAL);
    memcpy(&n, val, sizeof n);
    return (int)plug_leave(p, 0, set_row(p, f, i, n));
}

int plug_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len)
{
    struct plug *p = u;
    struct plug_file *f;
    int err = 0, n = 0, i = row_of(level, name);

    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (!f)
        return (int)plug_leave(p, -1, err);
    if (!val || !len)
        return (int)plug_leave(p, -1, EFAULT);
    if (i < 0)
        return (int)plug_leave(p, 0, get_special(p, f, level, name, val, len));
    err = get_row(p, f, i, &n);
    if (!err)
        err = given(estab_linux_give(&n, sizeof n, val, *len), len);
    return (int)plug_leave(p, 0, err);
}
