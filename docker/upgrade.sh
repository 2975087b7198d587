#!/bin/sh
# upgrade.sh: new images into a running stack without a failed request: behind the balancer each replica of the
# service is replaced by a new one, which must be ready before the old one drains and ends. Without the balancer the
# service is made anew, and away for some seconds. The balancer itself is left as it is, as nothing stands before it.
set -eu
cd "$(dirname "$0")/.."
docker compose --profile scale build -q
docker compose up -d --no-deps redis publisher
old=$(docker compose ps -q service)
balancer=$(docker compose --profile scale ps -q balancer)
if [ -z "$balancer" ]; then
  docker compose up -d --no-deps --wait service
  exit 0
fi
export AFM_SERVICE_PORT=0 # as `make up` has it, where each replica needs a port of its own
replicas=$(echo "$old" | wc -w)
for container in $old; do
  docker compose up -d --no-deps --no-recreate --scale service=$((replicas + 1)) --wait service
  sleep 2 # the balancer asks twice a second
  docker stop "$container" > /dev/null
  docker rm "$container" > /dev/null
done
now=$(docker inspect -f '{{.Image}}' "$balancer") new=$(docker image inspect -f '{{.Id}}' ctr-afm-balancer)
[ "$now" = "$new" ] || echo "upgrade.sh: there is a new image of the balancer; this takes it, and a second without answers:
  docker compose --profile scale up -d --no-deps balancer" >&2
