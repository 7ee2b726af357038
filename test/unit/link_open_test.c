/* SPDX-License-Identifier: BSD-2-Clause */
/* link_open_test.c - pipelines as text: what is wrong is said, before any device is touched. */
#include "link_kit.h"

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"", "no such kind of link"},
        {"tun", "no such kind of link"},
        {"wifi:x", "\"wifi\": no such kind of link; there is tun:NAME"},
        {"|tun:x", "no such kind of link"},
        {"tun:x|", "must be the last"},
        {"tun:x|fault:loss=1%", "\"tun:x\" must be the last of the pipeline"},
        {"fault:loss=1%", "\"fault:loss=1%\" leads nowhere; put |tun:NAME"},
        {"fault:loss=2|tun:x", "loss=2: must be from 0 to 1"},
        {"fault:los=2%|tun:x", "\"los=2%\": there is loss="},
        {"fault:loss=1%|fault:rate=1|tun:x", "\"rate=1\": there is"},
        {"pcap:|tun:x", "pcap: name the file"},
        {"tun:x,mtu=67", "tun:x: mtu=67: must be a number from 68 to 65535"},
        {"tun:x,mtu=1500x", "must be a number"},
        {"tun:x,speed=1", "no option \"speed=1\"; there is mtu=N"},
        {"tun:x,mac=02:00:00:00:00:01", "no option"},
        {"tap:x,mac=01:00:00:00:00:01", "no group address"},
        {"tap:x,mac=02:00:00:00:00", "must be six octets"},
        {"tap:x,mac=02:00:00:00:00:01:02", "must be six octets"},
        {"tap:x,mac=2:0:0:0:0:1", "must be six octets"},
        {"tap:x,up", "there is mtu=N, mac=xx:xx:xx:xx:xx:xx, busy=TIME|auto, vnet=on|off|auto"},
        {"tun:x,mtu", "no option \"mtu\""},
        {"tun:x,vnet=yes", "tun:x: vnet=yes: must be on, off or auto"},
        {"tun:x,busy=50", "tun:x: busy=50: must be a time like 50us, or auto"},
        {"tun:x,busy=1000001us", "must be a time like 50us"},
        {"tun:x,busy=automatic", "must be a time like 50us, or auto"},
        {"tun:anamethatistoolong", "has at most 15 characters"},
        {"fault:|fault:|fault:|fault:|fault:|fault:|fault:|fault:|tun:x", "more than 8 stages"},
    };
    estab_link *l = NULL;
    char err[ESTAB_ERRLEN];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err[0] = '\0';
        assert_int_equal(estab_link_open(&l, cases[i].spec, err), -1);
        assert_null(l);
        if (!strstr(err, cases[i].says))
            fail_msg("%s: says \"%s\"", cases[i].spec, err);
        assert_int_equal(estab_link_open(&l, cases[i].spec, NULL), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes_are_named)};

    return cmocka_run_group_tests_name("link_open", tests, NULL, NULL);
}
