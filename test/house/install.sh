#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# install.sh - what is installed can be used by find_package(), by pkg-config, from C and from C++,
# beside a program that has functions of the same names as our internal ones.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
case $(sed -n 's/^ESTAB_SANITIZE:STRING=//p' "$ESTAB_BUILD/CMakeCache.txt") in
?*) echo "a sanitized library is not for installing"; exit 77 ;;
esac
cmake --install "$ESTAB_BUILD" --prefix "$tmp/usr" >/dev/null

mkdir "$tmp/app"
cat >"$tmp/app/main.c" <<'END'
#include <estab/estab.h>
#include <stdio.h>
int tcp_enter(void);
int tcp_enter(void) { return 0; }
int main(void) { return puts(estab_version()) < 0 || tcp_enter(); }
END
cat >"$tmp/app/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(estab REQUIRED)
add_executable(app main.c)
target_link_libraries(app estab::estab)
END
cmake -G Ninja -S "$tmp/app" -B "$tmp/app/build" -DCMAKE_PREFIX_PATH="$tmp/usr" >/dev/null
cmake --build "$tmp/app/build" >/dev/null
version=$("$tmp/app/build/app")

libdir=$(dirname "$(find "$tmp/usr" -name estab.pc)")
flags="--cflags --libs estab"
cc -o "$tmp/pc" "$tmp/app/main.c" $(PKG_CONFIG_PATH="$libdir" pkg-config $flags)
[ "$("$tmp/pc")" = "$version" ]
[ "$(PKG_CONFIG_PATH="$libdir" pkg-config --modversion estab)" = "$version" ]

sed 's/^int tcp_enter(void);$//' "$tmp/app/main.c" >"$tmp/main.cc"
c++ -std=c++17 -o "$tmp/cc" "$tmp/main.cc" $(PKG_CONFIG_PATH="$libdir" pkg-config $flags)
[ "$("$tmp/cc")" = "$version" ]

# A client of a port where nobody listens: it links, runs and says so.
cat >"$tmp/app/channel.c" <<'END'
#include <estab/channel.h>
#include <stdio.h>
int main(void)
{
    struct estab_addr nobody = {.ip = {[10] = 255, 255, 127, 0, 0, 1}, .port = 1};
    struct estab_channel_event e;
    struct estab_transport t;
    struct estab_env env;
    estab_channel *c;

    estab_host_env(&env);
    estab_transport_fd(&t, NULL);
    return estab_channel_connect(&c, &env, NULL, &t, &nobody) != 0 ||
           estab_channel_wait(c, ESTAB_S(60), &e) != 0 || e.kind != ESTAB_CH_DOWN ||
           puts(estab_channel_strerror(e.error)) < 0;
}
END
cat >>"$tmp/app/CMakeLists.txt" <<'END'
add_executable(channel channel.c)
target_link_libraries(channel estab::channel)
END
cmake --build "$tmp/app/build" >/dev/null
"$tmp/app/build/channel" | grep -q refused
cc -o "$tmp/channel" "$tmp/app/channel.c" $(PKG_CONFIG_PATH="$libdir" pkg-config --cflags --libs estab-channel)
"$tmp/channel" | grep -q refused

cat >"$tmp/app/posix.c" <<'END'
#include <sys/socket.h>
#include <errno.h>
#include <estab/posix_names.h>
int main(void)
{
    estab_posix *p;
    int fd;

    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != ENETDOWN || estab_posix_new(&p, 0, 0))
        return 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 || listen(fd, 1) || close(fd);
}
END
cat >>"$tmp/app/CMakeLists.txt" <<'END'
add_executable(posix posix.c)
target_link_libraries(posix estab::posix)
END
cmake --build "$tmp/app/build" >/dev/null
"$tmp/app/build/posix"
cc -o "$tmp/posix" "$tmp/app/posix.c" $(PKG_CONFIG_PATH="$libdir" pkg-config --cflags --libs estab-posix)
"$tmp/posix"
[ ! -x "$tmp/usr/libexec/estab/estab-bench" ] || "$tmp/usr/bin/estab" bench connections 10 2>/dev/null | grep -qx 'connections at the same time: 10'
echo "installed: $version"
