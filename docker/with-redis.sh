#!/bin/sh
# Runs a command with the Redis URL that stands in the file AFM_REDIS_URL_FILE: so its password is in no
# compose file and in no `docker inspect`.
set -eu
if [ -n "${AFM_REDIS_URL_FILE:-}" ]; then
  AFM_REDIS_URL=$(cat "$AFM_REDIS_URL_FILE")
  export AFM_REDIS_URL
fi
exec "$@"
