#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# cells.sh IP_VERSION - every kind of segment in every state: see cells.txt.  The scripts stay in the
# build tree; the larger MTU of IPv6 gives the same MSS.  At the end stands how often each rule acted.
# case: ipv4
# case: ipv6
# case: ipv4-mapped-ipv6
set -eu
command -v python3 >/dev/null || exit 77
[ -x "$ESTAB_BUILD/estab" ] || exit 77
folder=$ESTAB_BUILD/cells/$1
case $1 in
ipv6) mtu=1520 ;;
*) mtu=1500 ;;
esac
mkdir -p "$ESTAB_BUILD/cells"
"$ESTAB_SOURCE/scripts/make-cells" "$ESTAB_SOURCE/test/cells/cells.txt" "$folder"
cd "$folder"
exec "$ESTAB_BUILD/estab" script --rules --ip_version="$1" --mtu=$mtu */*.pkt
