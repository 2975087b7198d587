#!/bin/sh
# check.sh: what `make up` asks before anything starts: whether docker compose is new enough, and whether
# each AFM_* variable of the environment and of .env is one that somebody reads.
set -eu
least=2.24.0
cd "$(dirname "$0")/.."
found=$(docker compose version --short) || { echo "docker compose is needed, $least or newer" >&2; exit 2; }
[ "$(printf '%s\n%s\n' "$least" "${found#v}" | sort -V | head -1)" = "$least" ] || \
  { echo "docker compose $found is too old: $least or newer is needed" >&2; exit 2; }
{ env; cat .env 2>/dev/null || true; } | sed -n 's/^\(AFM_[A-Z_]*\)=.*/\1/p' | sort -u | while read -r name; do
  grep -qE "(\{|  )$name\b" docker-compose.yml && continue
  removed=$(sed -n "s/^    \"$name\": \"\(.*\)\",\$/\1/p" service/setting_names.py)
  [ -z "$removed" ] || { echo "$name is no longer a setting: $removed" >&2; exit 2; }
  letters=${name#AFM_}
  near=$(grep -oE 'AFM_[A-Z_]+' docker-compose.yml | sort -u | grep -E "^AFM_$(printf %.3s "$letters")" | head -1 || true)
  echo "$name: there is no such setting${near:+; is it $near?}" >&2
  exit 2
done
