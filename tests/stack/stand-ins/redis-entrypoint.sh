#!/bin/sh
# As the real image: options alone are redis-server's, root becomes redis, and the protected mode is off.
set -eu
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
    [ "$(id -u)" != 0 ] || exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
    case "$*" in *--version* | *protected-mode*) ;; *) set -- "$@" --protected-mode no ;; esac
fi
exec "$@"
