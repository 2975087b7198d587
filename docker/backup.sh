#!/bin/sh
# backup.sh save FOLDER | restore FOLDER: the versions of a stack (Redis' files and the bundle store), as two
# archives. To save, the stack runs meanwhile; to restore, it is down and its volumes are empty.
# The name of the stack is COMPOSE_PROJECT_NAME's, as docker compose has it. Passwords are not in it: new ones are
# drawn. What is saved holds raw rows of the log, and is as private.
set -eu
what=${1:-} folder=${2:-}
[ -n "$folder" ] || { sed -n '2,3p' "$0" >&2; exit 64; }
cd "$(dirname "$0")/.."
in_redis() { docker compose run --rm -T --no-deps redis "$@"; }
in_store() { docker compose run --rm -T --no-deps publisher "$@"; }
case $what in
save)
  mkdir -p "$folder"
  # No rewrite of the append-only file while it is copied: what is added meanwhile only makes it longer.
  ask='$(command -v valkey-cli || command -v redis-cli) --no-auth-warning -u "$(cat /logins/operator/url)"'
  docker compose exec -T redis sh -c "$ask config set auto-aof-rewrite-percentage 0 > /dev/null
    while $ask info persistence | grep -q aof_rewrite_in_progress:1; do sleep 0.2; done
    tar -C /data -cf - .; $ask config set auto-aof-rewrite-percentage 100 > /dev/null" > "$folder/redis.tar.part"
  # after Redis: a version that is listed there is in the store
  docker compose exec -T publisher tar -C /var/lib/afm/bundles -cf - . > "$folder/bundles.tar.part"
  for part in redis bundles; do mv "$folder/$part.tar.part" "$folder/$part.tar"; done
  ;;
restore)
  for part in redis bundles; do
    [ -r "$folder/$part.tar" ] || { echo "backup.sh: $folder/$part.tar cannot be read: a back-up has redis.tar and bundles.tar" >&2; exit 2; }
  done
  for place in redis:/data publisher:/var/lib/afm/bundles; do
    found=$(docker compose run --rm -T --no-deps "${place%%:*}" find "${place#*:}" -mindepth 1 | head -1)
    [ -z "$found" ] || { echo "backup.sh: ${place#*:} is not empty ($found): docker compose down -v first" >&2; exit 2; }
  done
  in_redis tar -C /data -xf - < "$folder/redis.tar"
  in_store tar -C /var/lib/afm/bundles -xf - < "$folder/bundles.tar"
  ;;
*) sed -n '2,3p' "$0" >&2; exit 64 ;;
esac
