#!/bin/sh
# why.sh: after `docker compose up` failed, the last lines of the containers that are not well, as compose itself
# names only the container.
cd "$(dirname "$0")/.."
docker compose --profile scale ps -a --format '{{.Service}} {{.ExitCode}} {{.State}} {{.Health}}' |
  awk '$3 == "exited" && $2 != 0 || $3 == "restarting" || $4 == "starting" || $4 == "unhealthy" { print $1 }' | sort -u |
  while read -r service; do docker compose --profile scale logs --no-color --tail 2 "$service" >&2; done
exit 2
