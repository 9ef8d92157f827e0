#!/usr/bin/env bash
# Makes a Docker engine answer on a bare Debian machine, as root: installs Debian's docker.io, starts dockerd in the
# background, and sees to it that `docker compose` (v2) works. Where an engine answers and has compose, nothing is changed.
# Prints one line for each thing it does.
#
#   DOCKERD_LOG     log of dockerd                                   (/var/log/terrace-dockerd.log)
#   COMPOSE_SUITE   Debian suite to take the compose plugin from     (trixie)
set -euo pipefail

log() { printf 'set-up: %s\n' "$*" >&2; }
fail() { log "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
engine_version() { timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null; }

# One set-up at a time; another one may have done the work meanwhile.
exec 9>/tmp/terrace-setup-containers.lock
flock 9

apt_updated=
apt_install() {
  if [ -z "$apt_updated" ]; then apt-get update -qq; apt_updated=1; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

install_engine() {
  log "installing Debian's package docker.io"
  apt_install docker.io iptables
  # From trixie on, the command is a package of its own.
  have docker || apt_install docker-cli
  have dockerd || fail "no dockerd after the installation of docker.io"
}

start_engine() {
  # The default bridge gets the uplink's MTU: a bridge of 1500 over a smaller uplink makes large packets disappear.
  local uplink mtu=1500 logfile=${DOCKERD_LOG:-/var/log/terrace-dockerd.log} pid
  uplink=$(ip route show default 2>/dev/null | awk '{for (i = 1; i < NF; i++) if ($i == "dev") {print $(i + 1); exit}}') || true
  [ -n "$uplink" ] && [ -r "/sys/class/net/$uplink/mtu" ] && mtu=$(cat "/sys/class/net/$uplink/mtu")
  # A pid file of a machine that was stopped keeps dockerd from starting.
  if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then rm -f /var/run/docker.pid; fi
  # --ip: published ports are reachable from this machine only. 9>&-: it does not keep the lock.
  setsid nohup dockerd --mtu "$mtu" --ip 127.0.0.1 >"$logfile" 2>&1 </dev/null 9>&- &
  pid=$!
  for _ in $(seq 120); do
    if engine_version >/dev/null; then
      log "started dockerd $(engine_version), which goes on running: pid $pid, log $logfile, ports on loopback only"
      return
    fi
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$logfile" >&2; fail "dockerd has ended; its log is $logfile"; }
    sleep 0.5
  done
  tail -n 20 "$logfile" >&2
  fail "dockerd did not answer within 60 s; its log is $logfile"
}

# Debian 12 has no package of compose v2; the plugin is one file that needs only libc, taken out of a later suite's package.
install_compose() (
  suite=${COMPOSE_SUITE:-trixie}
  log "installing the docker compose plugin out of Debian $suite's package docker-compose"
  compgen -G '/var/lib/apt/lists/*_InRelease' >/dev/null || apt-get update -qq
  # shellcheck disable=SC2016  # apt's own $(...)
  mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" && !n++ {print $2}')
  [ -n "$mirror" ] || fail "apt names no Debian mirror"
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  mkdir -p "$dir"/{lists/partial,cache/archives/partial,parts}
  : >"$dir/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$dir/sources.list"
  opts=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts="$dir/parts"
    -o Dir::State::lists="$dir/lists" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache"
    -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
  apt-get "${opts[@]}" update -qq
  (cd "$dir" && apt-get "${opts[@]}" download -qq docker-compose >/dev/null)
  dpkg -x "$dir"/docker-compose_*.deb "$dir/root"
  install -D -m 755 "$dir/root/usr/libexec/docker/cli-plugins/docker-compose" \
    /usr/local/lib/docker/cli-plugins/docker-compose
)

if ! have docker || ! engine_version >/dev/null; then
  if ! have dockerd || ! have docker; then install_engine; fi
  start_engine
fi
docker compose version >/dev/null 2>&1 || install_compose
