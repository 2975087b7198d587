#!/bin/sh
# publish-waiting [--stay]: publishes what the trainer left in the handover volume. What the gate refuses is moved
# aside, to refused/ beside its reason, so that it never stands in the way of the next one. With --stay it goes
# on to look, each second, until it is stopped. Without: status 2 where one was refused, 3 where Redis was away.
set -eu
umask 022
handover=${AFM_HANDOVER:-/var/lib/afm/handover} bundles=${AFM_BUNDLES:-/var/lib/afm/bundles}
kept_refused=5
say() { echo "publisher: $*"; }
others() {
  for place in "$bundles" "$handover"; do
    find "$place" -mindepth 1 -maxdepth 1 -type d ! -name example ! -name refused ! -name '.*' 2>/dev/null
  done | head -1
}
active() { # MODEL: whether Redis has any version of it; 3 where it does not answer
  afm-serve versions --model "$1" > /tmp/versions || return 3
  ! grep -q '^nothing is published' /tmp/versions
}

aside() { # MODEL REASON-FILE BUNDLE
  place=$handover/refused/$(date -u +%Y%m%dT%H%M%SZ)-$1
  mkdir -p "$handover/refused"
  rm -rf "$place"
  mv "$3" "$place"
  cp "$2" "$place/REFUSED.txt"
  say "model $1: refused, moved to $place: $(cat "$2")"
  # shellcheck disable=SC2012  # names of our own making, by their times
  ls -d "$handover/refused"/*/ | sort -r | tail -n +$((kept_refused + 1)) | xargs -r rm -rf
}

note() { # STATUS: for the trainer, and for who retrains by hand; before the bundle goes
  cp /tmp/reason "$handover/why"
  echo "$1" > "$handover/outcome"
}

# Until the service beside it answers by a version, for a while: who waits for the trainer may then ask.
answered() { python -S /usr/local/share/afm/health.py /readyz service 10 || true; }

publish() { # MODEL BUNDLE
  status=0
  if [ "$1" = example ] && { [ -n "$(others)" ] || active "${AFM_MODEL:-default}"; }; then
    echo "the made-up example is not published where another model was" > /tmp/reason
    status=2
  else
    afm-serve publish "$2" --model "$1" 2> /tmp/reason || status=$?
    [ -z "$stay" ] || cat /tmp/reason >&2
  fi
  case $status in
    0|4) answered; note "$status"; rm -rf "$2" ;; # 4: active, and refused by live traffic, which continues by the version before
    3) return 3 ;;      # Redis is away: it waits
    *) note "$status"; aside "$1" /tmp/reason "$2" ;;
  esac
  return "$status"
}

# A Redis that lost its versions gets the last one back from the store, as it was, byte for byte.
restore() { # MODEL
  version=$(sed -n '1{s/ .*//;p}' "$bundles/$1/.active" 2>/dev/null || true)
  [ -n "$version" ] && [ -e "$bundles/$1/$version/manifest.json" ] || return 0
  status=0
  active "$1" || status=$?
  [ "$status" != 3 ] || return 3
  [ "$status" = 1 ] || return 0
  say "Redis has no version of model $1 and the store has $version: published again"
  afm-serve publish "$bundles/$1/$version" --model "$1" --no-wait || true
}

pass() { # one publisher at a time: the kernel drops the lock of one that was killed
  worst=0
  exec 9> "$handover/.lock"
  flock 9
  for model in "${AFM_MODEL:-default}" example; do
    [ -e "$handover/$model/bundle/manifest.json" ] || continue
    publish "$model" "$handover/$model/bundle" || worst=$?
  done
  exec 9>&-
  return "$worst"
}

stay=${1:-}
if [ "$stay" = --stay ]; then
  trap 'exit 0' TERM INT
  restored=
  while :; do
    if [ -z "$restored" ] && restore "${AFM_MODEL:-default}" && { [ -n "$(others)" ] || restore example; }; then
      restored=1
    fi
    pass || sleep 2
    touch /tmp/looked
    sleep 1 & wait $!
  done
fi
status=0
pass || status=$?
[ "$status" != 3 ] || { cat /tmp/reason >&2; exit 3; }
[ -s "$handover/outcome" ] || { say "nothing new to publish"; exit 0; }
status=$(cat "$handover/outcome") # by this publisher, or by the one that stays
cat "$handover/why" >&2
rm -f "$handover/outcome"
exit "$status"
