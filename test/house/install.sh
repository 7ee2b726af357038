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
echo "installed: $version"
