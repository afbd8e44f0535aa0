#!/bin/sh
# Entry point of the self-made Redis image: `redis-server ARGUMENTS`, as the official image is called, not as root.
set -eu
install -d -o redis -g redis /data
cd /data
[ "${1:-}" = redis-server ] && shift
exec setpriv --reuid=redis --regid=redis --init-groups redis-server --bind 0.0.0.0 --protected-mode no "$@"
