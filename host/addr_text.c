/* SPDX-License-Identifier: BSD-2-Clause */
/* addr_text.c - addresses, ports and prefixes as people write them. */
#include <estab/host.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* text[0..len) as an address of either version.  0 or -1. */
static int parse_ip(uint8_t ip[16], bool *is_v4, const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t v4[4];

    if (len >= sizeof copy)
        return -1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *is_v4 = inet_pton(AF_INET, copy, v4) == 1;
    if (!*is_v4)
        return inet_pton(AF_INET6, copy, ip) == 1 ? 0 : -1;
    memcpy(ip, mapped, sizeof mapped);
    memcpy(ip + sizeof mapped, v4, sizeof v4);
    return 0;
}

/* All of text as a decimal number of at most max.  0 or -1. */
static int parse_decimal(uint32_t *out, const char *text, uint32_t max)
{
    uint32_t v = 0;
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 5 || text[n])
        return -1;
    while (*text)
        v = v * 10 + (uint32_t)(*text++ - '0');
    if (v > max)
        return -1;
    *out = v;
    return 0;
}

int estab_addr_parse(struct estab_addr *out, const char *text, bool *port_given)
{
    struct estab_addr a = {0};
    const char *ip = text, *end, *port = NULL;
    bool is_v4;
    uint32_t v = 0;

    if (*text == '[') {
        ip = text + 1;
        end = strchr(ip, ']');
        if (!end || (end[1] && end[1] != ':'))
            return -1;
        if (end[1])
            port = end + 2;
    } else {
        end = strchr(text, ':');
        if (end && !strchr(end + 1, ':')) /* one colon is a port's, more are IPv6's */
            port = end + 1;
        else
            end = text + strlen(text);
    }
    if (*text == '[' || end != text || !port) { /* ":80" has no address */
        if (parse_ip(a.ip, &is_v4, ip, (size_t)(end - ip)) || (*text == '[' && is_v4))
            return -1;
    }
    if (port && parse_decimal(&v, port, 65535))
        return -1;
    a.port = (uint16_t)v;
    *out = a;
    if (port_given)
        *port_given = port != NULL;
    return 0;
}

char *estab_addr_format(const struct estab_addr *a, bool with_port, char *buf)
{
    char ip[INET6_ADDRSTRLEN];
    bool is_v4 = memcmp(a->ip, mapped, sizeof mapped) == 0;

    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? a->ip + 12 : a->ip, ip, sizeof ip);
    if (with_port)
        snprintf(buf, 56, is_v4 ? "%s:%u" : "[%s]:%u", ip, (unsigned)a->port);
    else
        snprintf(buf, 56, "%s", ip);
    return buf;
}

int estab_prefix_parse(uint8_t addr[16], uint8_t *prefix_len, const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    uint8_t ip[16];
    uint32_t bits, max;
    bool is_v4;

    if (parse_ip(ip, &is_v4, text, len))
        return -1;
    max = is_v4 ? 32 : 128;
    bits = max;
    if (slash && parse_decimal(&bits, slash + 1, max))
        return -1;
    memcpy(addr, ip, sizeof ip);
    *prefix_len = (uint8_t)(is_v4 ? bits + 96 : bits);
    return 0;
}
