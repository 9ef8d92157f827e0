#!/usr/bin/env bash
# Builds images that this machine cannot pull: stand-ins from Debian's packages (and Node's npm package) under the official
# names, with the same programs, entry points and ports, labelled local.standin=debian.
#
#   build-stand-ins.sh IMAGE...
#
# Needs root on Debian: the base is made with mmdebstrap, from the mirror and with the keys that apt here is set up with.
#
# shellcheck disable=SC2016,SC2317  # apt's own $(...), hooks that mmdebstrap expands; prepare_* called by name
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BASE=debian:trixie-slim
SUITE=trixie
LABEL=local.standin=debian

# image -> folder under images/ with the Dockerfile ("-": the base itself)
declare -A RECIPE=(
  [$BASE]=-
  [node:24-trixie-slim]=node
  [redis:8]=redis
  [quay.io/ceph/ceph:v20]=ceph
)

log() { printf 'set-up: %s\n' "$*" >&2; }
fail() { log "$*"; exit 1; }
have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# --- the base ----------------------------------------------------------------

# The Debian mirrors that this machine's own apt uses, by label.
mirror_of() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk -v l="$1" '$1 == l && !n++ {sub(/\/$/, "", $2); print $2}'; }

need_tools() {
  if ! command -v mmdebstrap >/dev/null; then
    log "installing Debian's package mmdebstrap"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 mmdebstrap >/dev/null
  elif ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
    apt-get update -qq    # mirror_of reads the lists' labels
  fi
}

# Debian's slim base, set up as the official one is: no documentation or translations, no package lists or archives left
# behind, services not started.
build_base() {
  local mirror security work=$TMP/base
  mirror=$(mirror_of Debian); security=$(mirror_of Debian-Security)
  [ -n "$mirror" ] || fail "this machine's apt names no Debian mirror"
  mkdir -p "$work"
  cat >"$work/dpkg.cfg" <<'CFG'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/groff/*
path-exclude=/usr/share/lintian/*
CFG
  cat >"$work/apt.conf" <<'CFG'
Acquire::Languages "none";
// the mirror may be a snapshot that is older than its own expiry date
Acquire::Check-Valid-Until "false";
Apt::AutoRemove::SuggestsImportant "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CFG
  cat >"$work/apt-clean.conf" <<'CFG'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
CFG
  printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
  stanza() { printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$1" "$2"; }
  { stanza "$mirror" "$SUITE $SUITE-updates"
    [ -z "$security" ] || { echo; stanza "$security" "$SUITE-security"; }
  } >"$work/debian.sources"
  mmdebstrap --quiet --variant=minbase --format=tar --aptopt="$work/apt.conf" --dpkgopt="$work/dpkg.cfg" \
    --customize-hook='rm -f "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb' \
    --customize-hook="rm -f \"\$1\"/etc/apt/sources.list.d/*; cp $work/debian.sources \"\$1/etc/apt/sources.list.d/\"" \
    --customize-hook="cp $work/apt-clean.conf \"\$1/etc/apt/apt.conf.d/docker-clean\"" \
    --customize-hook="install -m 755 $work/policy-rc.d \"\$1/usr/sbin/policy-rc.d\"" \
    "$SUITE" "$work/root.tar" "$work/debian.sources"
  docker import --change "LABEL $LABEL" --change 'CMD ["bash"]' "$work/root.tar" "$BASE" >/dev/null
}

# --- the others --------------------------------------------------------------

# What a Dockerfile copies in and Debian does not have: Node as the npm package ships it, and npm itself.
prepare_node() {
  local work=$1 arch
  case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) fail "no npm package has Node for $(uname -m)" ;; esac
  (cd "$work" && npm pack --silent "node-linux-$arch@24" "npm@11" >/dev/null)
  mkdir -p "$work/root/lib/node_modules/npm"
  tar -xzf "$work"/node-linux-"$arch"-24.*.tgz -C "$work/root" --strip-components=1 --exclude='package/share' --exclude='package/*.md' --exclude='package/package.json' --exclude='package/LICENSE'
  tar -xzf "$work"/npm-11.*.tgz -C "$work/root/lib/node_modules/npm" --strip-components=1
  rm -f "$work"/*.tgz
  # This machine's certificate authorities, so that a build inside a closed network trusts what npm here trusts.
  cp -L "${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" "$work/ca-certificates.crt" 2>/dev/null || : >"$work/ca-certificates.crt"
}

build_one() {
  local image=$1 dir=${RECIPE[$1]} work=$TMP/context
  if [ "$dir" = - ]; then build_base; return; fi
  cp -r "$HERE/images/$dir" "$work"
  if declare -F "prepare_$dir" >/dev/null; then "prepare_$dir" "$work"; fi
  # The builder that every engine has; the newer one is a plugin of its own.
  DOCKER_BUILDKIT=0 docker build --quiet --force-rm --label "$LABEL" --tag "$image" "$work" >/dev/null
}

# In a process of its own, where `set -e` holds, as it does not in a function whose status is tested.
build() {
  local image=$1 start=$SECONDS out
  out=$TMP/$(tr -c 'a-zA-Z0-9\n' _ <<<"$image").log
  if ! bash "${BASH_SOURCE[0]}" --one "$image" >"$out" 2>&1; then
    tail -n 40 "$out" >&2
    log "$image could not be built ($((SECONDS - start)) s)"
    return 1
  fi
  log "$image: a stand-in, built from Debian's packages in $((SECONDS - start)) s"
}

# --- main --------------------------------------------------------------------

TMP=$(mktemp -d "${TMPDIR:-/tmp}/terrace-stand-ins.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
if [ "${1:-}" = --one ]; then build_one "$2"; exit 0; fi

for image in "$@"; do [ -n "${RECIPE[$image]:-}" ] || fail "there is no recipe for $image"; done
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then fail "$* cannot be pulled; stand-ins can be built only on Debian, as root"; fi

# One set-up at a time; another one may have built them meanwhile.
exec 9>/tmp/terrace-setup-containers.lock
flock 9
need_tools
have_image "$BASE" || build "$BASE"
jobs=() status=0
for image in "$@"; do
  have_image "$image" && continue
  build "$image" &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || status=1; done
exit "$status"
