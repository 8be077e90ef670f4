#!/bin/sh
# Lay out under /images what the stages copy: Debian's binaries under the names that the real images give them.
# Go programs and a static busybox need nothing else of the suite that they come from.
set -eu

images=/images

main() {
    mkdir -p /packages "$images"
    cd /packages
    # APT would drop to a user that cannot write here.
    apt-get -qq -o APT::Sandbox::User=root download busybox-static/trixie prometheus/sid promtool/sid \
        prometheus-alertmanager/sid prometheus-node-exporter/sid prometheus-blackbox-exporter/sid \
        prometheus-postgres-exporter/sid prometheus-redis-exporter/sid
    for package in *.deb; do dpkg -x "$package" "${package%%_*}"; done
    accounts
    busybox
    bare
    program promtool prometheus usr/bin/promtool bin/promtool
    program prometheus prometheus usr/bin/prometheus bin/prometheus
    program prometheus-alertmanager alertmanager usr/bin/prometheus-alertmanager bin/alertmanager
    program prometheus-alertmanager alertmanager usr/bin/amtool bin/amtool
    program prometheus-alertmanager alertmanager usr/share/prometheus usr/share/prometheus
    program prometheus-node-exporter node-exporter usr/bin/prometheus-node-exporter bin/node_exporter
    program prometheus-blackbox-exporter blackbox-exporter usr/bin/prometheus-blackbox-exporter bin/blackbox_exporter
    program prometheus-blackbox-exporter blackbox-exporter etc/prometheus/blackbox.yml etc/blackbox_exporter/config.yml
    program prometheus-postgres-exporter postgres-exporter usr/bin/prometheus-postgres-exporter bin/postgres_exporter
    program prometheus-redis-exporter redis_exporter usr/bin/prometheus-redis-exporter redis_exporter
    mkdir -p "$images/loki/loki/rules" "$images/loki/loki/rules-temp" "$images/loki/etc/loki"
}

# program PACKAGE IMAGE FROM TO
program() {
    mkdir -p "$(dirname "$images/$2/$4")"
    mv "$1/$3" "$images/$2/$4"
    came_from "$1" "$2"
}

# came_from PACKAGE IMAGE
came_from() { echo "Debian $1 $(dpkg-deb --field "$1"_*.deb Version)" >"$images/$2/stand-in"; }

accounts() {
    mkdir -p "$images/accounts/etc"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$images/accounts/etc/passwd"
    printf 'root:x:0:\nnobody:x:65534:\n' >"$images/accounts/etc/group"
    echo 'hosts: files dns' >"$images/accounts/etc/nsswitch.conf"
}

busybox() {
    root=$images/busybox
    mkdir -p "$root/bin" "$root/root" "$root/home" "$root/var"
    mkdir -m 1777 "$root/tmp" "$root/var/tmp"
    mv busybox-static/usr/bin/busybox "$root/bin/"
    for applet in $("$root/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    came_from busybox-static busybox
}

bare() {
    root=$images/bare
    libraries=$(dirname /lib/*-linux-gnu/libc.so.6)
    mkdir -p "$root/etc/ssl/certs" "$root$libraries"
    cp -a "$images/accounts/." "$root/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    cp -L "$libraries/libc.so.6" "$libraries/libresolv.so.2" "$root$libraries/"
    for loader in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do
        [ ! -e "$loader" ] || { mkdir -p "$root${loader%/*}" && cp -L "$loader" "$root$loader"; }
    done
}

main
