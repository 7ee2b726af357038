/* SPDX-License-Identifier: BSD-2-Clause */
/* xdp_prog.c - the program at a device that says which frames are the stack's.
 *
 * The stack's are IPv4, IPv6 and ARP to its own MAC and to groups.  The rest goes on to the kernel:
 * what is for the device's own MAC, other protocols, and frames of a VLAN.  A program can hand a
 * frame to one of the two and not to both, so the kernel hears no ARP request and no multicast on
 * this device meanwhile. */
#include "xdp_prog.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/ethernet.h>
#include <unistd.h>

#define OP(op, dst, src, offset, value)                                                            \
    {                                                                                              \
        .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)          \
    }
#define LOAD(width, dst, src, offset) OP(BPF_LDX | BPF_MEM | (width), dst, src, offset, 0)
#define COPY(dst, src)                OP(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define SET(dst, value)               OP(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define MATH(op, dst, value)          OP(BPF_ALU64 | (op) | BPF_K, dst, 0, 0, value)
#define IF(op, dst, value, skip)      OP(BPF_JMP32 | (op) | BPF_K, dst, 0, skip, value)
#define RETURN                        OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load_program(int map, const uint8_t mac[6])
{
    int32_t mac_head = 0;
    uint16_t mac_tail = 0;

    memcpy(&mac_head, mac, 4);
    memcpy(&mac_tail, mac + 4, 2);
    const struct bpf_insn program[] = {
        /* r1: the context; r2 to r3: the frame, which must have a whole header */
        COPY(6, 1),
        LOAD(BPF_W, 2, 1, offsetof(struct xdp_md, data)),
        LOAD(BPF_W, 3, 1, offsetof(struct xdp_md, data_end)),
        COPY(4, 2),
        MATH(BPF_ADD, 4, ETHER_HDR_LEN),
        OP(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 16, 0), /* to the kernel's */
        /* the type */
        LOAD(BPF_H, 5, 2, 12),
        IF(BPF_JEQ, 5, htons(ETHERTYPE_IP), 2),
        IF(BPF_JEQ, 5, htons(ETHERTYPE_IPV6), 1),
        IF(BPF_JNE, 5, htons(ETHERTYPE_ARP), 12), /* to the kernel's */
        /* the destination: a group, or the stack's MAC */
        LOAD(BPF_B, 5, 2, 0),
        IF(BPF_JSET, 5, 1, 4), /* to the stack's */
        LOAD(BPF_W, 5, 2, 0),
        IF(BPF_JNE, 5, mac_head, 8), /* to the kernel's */
        LOAD(BPF_H, 5, 2, 4),
        IF(BPF_JNE, 5, mac_tail, 6), /* to the kernel's */
        /* the stack's: to the socket of this queue, and to the kernel where there is none */
        OP(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
        OP(0, 0, 0, 0, 0), /* the load's second half */
        LOAD(BPF_W, 2, 6, offsetof(struct xdp_md, rx_queue_index)),
        SET(3, XDP_PASS),
        OP(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
        RETURN,
        /* the kernel's */
        SET(0, XDP_PASS),
        RETURN,
    };

    return bpf_prog_load(BPF_PROG_TYPE_XDP, "estab", "BSD", program,
                         sizeof program / sizeof *program, NULL);
}

int xdp_prog_attach(struct xdp_prog *g, int index, uint32_t queues, const uint8_t mac[6],
                    const char **doing)
{
    int program = -1, ret = 0;

    *g = (struct xdp_prog){-1, -1};
    *doing = "making a map of sockets";
    g->map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "estab", 4, 4, queues, NULL);
    if (g->map < 0)
        return g->map;
    *doing = "loading the program that says whose a frame is";
    program = load_program(g->map, mac);
    if (program < 0) {
        ret = program;
        goto out;
    }
    /* A link, and no bpf_xdp_attach(): it goes with its descriptor, however the program ends. */
    *doing = "attaching the program that says whose a frame is";
    g->attached = bpf_link_create(program, index, BPF_XDP, NULL);
    if (g->attached == -EOPNOTSUPP || g->attached == -ERANGE) {
        const struct bpf_link_create_opts generic = {.sz = sizeof generic,
                                                     .flags = XDP_FLAGS_SKB_MODE};

        g->attached = bpf_link_create(program, index, BPF_XDP, &generic);
    }
    ret = g->attached < 0 ? g->attached : 0;
out:
    if (program >= 0)
        close(program);
    if (ret)
        xdp_prog_detach(g);
    return ret;
}

int xdp_prog_share(struct xdp_prog *g, const struct xdp_prog *with)
{
    *g = (struct xdp_prog){.map = fcntl(with->map, F_DUPFD_CLOEXEC, 0),
                           .attached = fcntl(with->attached, F_DUPFD_CLOEXEC, 0)};
    return g->map < 0 || g->attached < 0 ? -errno : 0;
}

int xdp_prog_steer(const struct xdp_prog *g, uint32_t queue, int fd)
{
    return bpf_map_update_elem(g->map, &queue, &fd, BPF_ANY) ? -errno : 0;
}

void xdp_prog_detach(struct xdp_prog *g)
{
    if (g->attached >= 0)
        close(g->attached);
    if (g->map >= 0)
        close(g->map);
    *g = (struct xdp_prog){-1, -1};
}
