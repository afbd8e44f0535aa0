#!/bin/sh
# Entry point of the self-made PostgreSQL image. It takes what the official image takes, as far as the tests use it:
# POSTGRES_PASSWORD, PGDATA, and the server's own arguments (`postgres -c name=value`).
#
# The cluster is made at the first start only and moved into place when it is whole, so that a container killed in
# mid-`initdb` starts afresh instead of on half a cluster. Every later start, after a kill -9 too, recovers the data.
set -eu

PGDATA=${PGDATA:-/var/lib/postgresql/data}
bin=$(echo /usr/lib/postgresql/*/bin)
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    rm -rf "$PGDATA" "$PGDATA.new" /tmp/password
    install -d -o postgres -g postgres -m 0700 "$PGDATA.new"
    install -o postgres -m 0600 /dev/null /tmp/password
    printf '%s' "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}" >/tmp/password
    as_postgres "$bin/initdb" --pgdata="$PGDATA.new" --username=postgres --pwfile=/tmp/password \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA.new/postgresql.conf"
    sync
    mv "$PGDATA.new" "$PGDATA"
fi

install -d -o postgres -g postgres /var/run/postgresql
[ "${1:-}" = postgres ] && shift
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$PGDATA" "$@"
