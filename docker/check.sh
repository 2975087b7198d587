#!/bin/sh
# check.sh: what `make up` asks before anything starts: whether docker compose is new enough, whether each AFM_*
# variable of the environment and of .env is one that somebody reads, and whether the engine has the cores that the
# containers are given. What is refused here leaves a running stack as it is.
set -eu
least=2.24.0
cd "$(dirname "$0")/.."
fail() { echo "$*" >&2; exit 2; }
found=$(docker compose version --short) || fail "docker compose is needed, $least or newer"
[ "$(printf '%s\n%s\n' "$least" "${found#v}" | sort -V | head -1)" = "$least" ] || \
  fail "docker compose $found is too old: $least or newer is needed"

# the name in docker-compose.yml that the fewest changed letters make of NAME, unless that is most of them
nearest() { # NAME
  grep -oE 'AFM_[A-Z_]+' docker-compose.yml | sort -u | awk -v given="$1" '
    function least(a, b, c) { if (b < a) a = b; return c < a ? c : a }
    function changes(a, b,    i, j, row, above, left) {
      for (j = 0; j <= length(b); j++) row[j] = j
      for (i = 1; i <= length(a); i++) {
        above = row[0]; row[0] = i
        for (j = 1; j <= length(b); j++) {
          left = least(row[j] + 1, row[j - 1] + 1, above + (substr(a, i, 1) != substr(b, j, 1)))
          above = row[j]; row[j] = left
        }
      }
      return row[length(b)]
    }
    { n = changes(toupper(given), $0); if (NR == 1 || n < fewest) { fewest = n; name = $0 } }
    END { if (2 * fewest <= length(given) - 4) print name }'
}

{ env; cat .env 2>/dev/null || true; } |
  sed -nE 's/^[[:space:]]*(export[[:space:]]+)?(AFM_[A-Za-z0-9_]*)[[:space:]]*=.*/\2/p' | sort -u | while read -r name; do
  case $name in
    AFM_REDIS_URL|AFM_REDIS_URL_FILE) fail "$name: the containers have a Redis of their own, whose data are in the volume redis" ;;
    AFM_HOST) fail "$name: in containers AFM_BIND names the address, and AFM_PORT the port" ;;
  esac
  ! grep -qE "(\{|  )$name\b" docker-compose.yml || continue
  removed=$(sed -n "s/^    \"$name\": \"\(.*\)\",\$/\1/p" service/setting_names.py)
  [ -z "$removed" ] || fail "$name is no longer a setting: $removed"
  near=$(nearest "$name")
  fail "$name: there is no such setting${near:+; is it $near?}"
done

# docker compose would say so only after it has begun to replace the containers that run
cores=$(docker info -f '{{.NCPU}}')
config=$(docker compose config)
most=$(echo "$config" | sed -nE 's/^ +cpus: "?([0-9.]+).*/\1/p' | sort -n | tail -1)
awk "BEGIN { exit !($most <= $cores) }" || \
  fail "a container would get $most cores and the engine has $cores: set AFM_CPUS and AFM_TRAINER_CPUS (AFM_CPUS is AFM_WORKERS where it is not set)"
