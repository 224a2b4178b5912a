#!/bin/sh
# Run once by the image of PostgreSQL, when it makes its database: the role of API and workers.
# What it may do is granted by `clm migrate`.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$APPLICATION_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE clm_app LOGIN PASSWORD :'password';
SQL
