#!/bin/sh
# upgrade.sh: new images into a running stack without a failed request: behind the balancer each replica of the
# service is replaced by a new one, which must be ready before the old one drains and ends. Without the balancer the
# service is made anew, and away for some seconds.
set -eu
cd "$(dirname "$0")/.."
docker compose build -q
docker compose up -d --no-deps redis publisher
old=$(docker compose ps -q service)
if [ -z "$(docker compose --profile scale ps -q balancer)" ]; then
  docker compose up -d --no-deps --wait service
  exit 0
fi
replicas=$(echo "$old" | wc -w)
for container in $old; do
  docker compose up -d --no-deps --no-recreate --scale service=$((replicas + 1)) --wait service
  sleep 2 # the balancer asks twice a second
  docker stop "$container" > /dev/null
  docker rm "$container" > /dev/null
done
docker compose --profile scale up -d --no-deps balancer
