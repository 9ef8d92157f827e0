#!/bin/bash
# An S3 server for tests in one container: Ceph's object gateway (radosgw) over a monitor and one OSD that keeps its data
# in memory. About a second from start to the first answer.
#
# It uses only what is in Ceph's own image (quay.io/ceph/ceph); whoever starts the container brings it along.
# A stop with SIGTERM writes the data to the container's disk, the next start reads it; after SIGKILL it begins anew.
#
#   S3_ACCESS_KEY, S3_SECRET_KEY     keys of the user that tests work as
#   S3_STRANGER_ACCESS_KEY, S3_STRANGER_SECRET_KEY   keys of a user that owns nothing (left out: there is none)
#   S3_PORT                          7480
# shellcheck disable=SC2317 # `finish` is called by a trap
set -euo pipefail

ACCESS_KEY=${S3_ACCESS_KEY:-testkey} SECRET_KEY=${S3_SECRET_KEY:-testsecret} PORT=${S3_PORT:-7480}
MON=/var/lib/ceph/mon/ceph-a OSD=/var/lib/ceph/osd/ceph-0 CLEAN=/var/lib/ceph/stopped-cleanly


configure() {
  local fsid
  fsid=$(cat /proc/sys/kernel/random/uuid)
  rm -rf "$MON" "$OSD"
  mkdir -p /etc/ceph /run/ceph /var/log/ceph "$MON" "$OSD" /var/lib/ceph/radosgw/rgw
  cat >/etc/ceph/ceph.conf <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:3300/0
mon initial members = a
ms bind msgr1 = false
# everything is in this container and none of its ports but S3's is published
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc secure
auth allow insecure global id reclaim = false
# one copy of everything
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
# do not wait for a quorum of one, and never stop over the host's disk
paxos propose interval = 0.02
paxos min wait = 0.01
mon tick interval = 1
mon data avail warn = 0
mon data avail crit = 0
# a gateway that was killed is given up soon; it says more often that it lives
osd client watch timeout = 2
objecter tick interval = 0.5
osd objectstore = memstore
memstore device bytes = 4294967296
# the slow shutdown is the one that writes the memory to the disk
osd fast shutdown = false
log to stderr = true
log to file = false
log file =
mon cluster log to file = false
debug rocksdb = 0
debug mon = 0
debug osd = 0
debug rgw = 0
# small answers at once: the kernel would hold them back for 40 ms
rgw frontends = beast port=$PORT tcp_nodelay=1
rgw run sync thread = false
rgw enable usage log = false
rgw thread pool size = 64
rgw gc obj min wait = 1
CONF
  monmaptool --create --addv a '[v2:127.0.0.1:3300]' --fsid "$fsid" /tmp/monmap >/dev/null
  ceph-mon --mkfs -i a --monmap /tmp/monmap --mon-data "$MON"
}

create_user() { # uid, access key, secret key
  timeout 60 radosgw-admin user create --uid="$1" --display-name="$1" --access-key="$2" --secret-key="$3" >/dev/null
}

again=
if [ -f "$CLEAN" ]; then again=1; else configure; fi
rm -f "$CLEAN"

# The gateway first, then the OSD, then the monitor: each still has what it needs to end. The gateway has nothing to save,
# and would take half a minute to end by itself.
rgw='' osd='' mon=''
finish() {
  trap '' TERM INT
  if [ -n "$rgw" ] && kill -9 "$rgw"; then wait "$rgw" || true; fi
  if [ -n "$osd" ] && kill -TERM "$osd" && wait "$osd"; then
    kill -TERM "$mon" && wait "$mon" && touch "$CLEAN"
  fi
  exit 0
}
trap finish TERM INT

ceph-mon -f -i a --mon-data "$MON" & mon=$!
if [ -z "$again" ]; then
  uuid=$(cat /proc/sys/kernel/random/uuid)
  timeout 30 ceph osd new "$uuid" 0 >/dev/null
  ceph-osd -i 0 --mkfs --osd-uuid "$uuid" --osd-data "$OSD" >/dev/null
fi
ceph-osd -f -i 0 --osd-data "$OSD" & osd=$!
if [ -z "$again" ]; then
  # Waits until the OSD serves, and makes the gateway's pools on the way.
  create_user test "$ACCESS_KEY" "$SECRET_KEY"
  [ -z "${S3_STRANGER_ACCESS_KEY:-}" ] || create_user stranger "$S3_STRANGER_ACCESS_KEY" "$S3_STRANGER_SECRET_KEY"
fi
radosgw -f --name client.rgw --rgw-data=/var/lib/ceph/radosgw/rgw & rgw=$!
echo 'radosgw started'
# The container lives as long as all three do.
wait -n || true
echo 'a daemon ended' >&2
# shellcheck disable=SC2046 # several
kill -9 $(jobs -p) 2>/dev/null || true
exit 1
