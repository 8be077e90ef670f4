#!/usr/bin/env bash
# Write a tar of debian:trixie-slim, made by debootstrap: base.sh FILE. Needs root.
#
# It trusts what this machine trusts, so that `docker build` gets through to package indexes from here.
set -euo pipefail

readonly bundle=/etc/ssl/certs/ca-certificates.crt

main() {
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # the value of now
    trap "rm -rf --one-file-system '$root'" EXIT
    debootstrap --variant=minbase trixie "$root" http://deb.debian.org/debian
    settings "$root"
    tar -C "$root" --one-file-system --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        -cf "$1.new" .
    mv "$1.new" "$1"
}

# As in the real image: APT keeps nothing, dpkg waits for no disk, and no service starts.
settings() {
    cat >"$1/etc/apt/apt.conf.d/docker-clean" <<'EOF'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
EOF
    echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod +x "$1/usr/sbin/policy-rc.d"
    echo "Debian trixie by debootstrap" >"$1/stand-in"
    [ -e $bundle ] || return 0
    # The second one is for the package ca-certificates, which writes the first anew.
    install -D -m 644 $bundle "$1$bundle"
    install -D -m 644 $bundle "$1/usr/local/share/ca-certificates/machine.crt"
}

main "$@"
