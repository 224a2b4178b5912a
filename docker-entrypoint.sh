#!/bin/sh
# What a container of this image does, by its first word; the process it starts takes its place.
set -eu
: "${CLM_DATABASE_URL:?set CLM_DATABASE_URL: the image brings no database}"
role="${1:-api}"
[ "$#" -eq 0 ] || shift
case "$role" in
    api) exec clm serve --no-worker "$@" ;;
    worker) exec clm worker "$@" ;;
    migrate) exec clm migrate "$@" ;;
    *) echo "clm: say api, worker or migrate, not '$role'" >&2; exit 2 ;;
esac
