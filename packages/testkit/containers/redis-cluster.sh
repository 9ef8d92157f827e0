#!/bin/sh
# A Redis Cluster for tests in one container: a node for each of three ports, without replicas.
#
# A node listens on the port that is published for it, so that the address which it announces leads to it from inside and
# from outside.
#
#   redis-cluster.sh HOST PORT PORT PORT [redis-server options]
set -eu

host=$1 ports="$2 $3 $4" first=$2
shift 4
again=
if [ -d "/data/$first" ]; then again=1; fi

pids=
for port in $ports; do
  mkdir -p "/data/$port"
  (cd "/data/$port" && exec redis-server --port "$port" --protected-mode no --cluster-enabled yes \
    --cluster-announce-ip "$host" --cluster-node-timeout 2000 "$@") &
  pids="$pids $!"
done
# shellcheck disable=SC2086 # several
trap 'trap "" TERM INT; kill $pids; wait; exit 0' TERM INT

# Inside, all nodes are on loopback, whatever they announce.
if [ -z "$again" ]; then
  slot=0 epoch=1
  for port in $ports; do
    until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done
    last=$((epoch == 3 ? 16383 : slot + 5460))
    redis-cli -p "$port" cluster addslotsrange "$slot" "$last" >/dev/null
    redis-cli -p "$port" cluster set-config-epoch "$epoch" >/dev/null
    [ "$port" = "$first" ] || redis-cli -p "$port" cluster meet 127.0.0.1 "$first" >/dev/null
    slot=$((last + 1)) epoch=$((epoch + 1))
  done
fi
wait
