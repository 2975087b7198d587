#!/bin/sh
# The trainer of docker-compose.yml: leaves a bundle in the handover volume for the publisher, at
# MODEL/bundle, if one is wanted. AFM_TRAIN: once (only while no version is there), always, or warm (as
# always, beginning from the active version). It never replaces what somebody else trained by the example.
set -eu
stay=${1:-}
umask 022
model=${AFM_MODEL:-default}
handover=/var/lib/afm/handover bundles=/mnt/bundles
say() { echo "trainer: $*"; }
fail() { say "$*" >&2; exit 2; }
active() { cat "/mnt/live/$1" 2>/dev/null || true; } # as Redis named it before this container started
stored() { find "$bundles/$1" -mindepth 2 -maxdepth 2 -name manifest.json 2>/dev/null | head -1; }
# the name of any model but the example that left a trace in a volume
others() {
  for place in "$bundles" "$handover"; do
    find "$place" -mindepth 1 -maxdepth 1 -type d ! -name example ! -name 'refused' ! -name '.*' 2>/dev/null
  done | head -1
}
# In `docker compose up --wait` an ended container is a failed one, so a trainer that is done stays, once the
# publisher has taken its bundle.
finish() { # MODEL
  [ "$stay" = --stay ] || exit 0
  while [ -e "$handover/$1/bundle/manifest.json" ]; do sleep 0.5; done
  if [ -n "${fitted:-}" ]; then
    case $(cat "$handover/outcome") in 0|4) ;; *) fail "the publisher refused the bundle: $(cat "$handover/why")" ;; esac
  fi
  touch /tmp/done
  exec sleep infinity
}
fit() { # NAME ARGUMENTS...: into a folder beside, so that no half of a bundle is ever seen
  name=$1; shift
  rm -rf "$handover"/.fit.*
  afm-train fit "$@" --out "$handover/.fit.$$" || {
    status=$?
    [ "$status" != 137 ] || say "the fit was killed, as it needs more memory than AFM_TRAINER_MEMORY gives it" >&2
    exit "$status"
  }
  exec 9> "$handover/.lock" # no publisher reads what is replaced here
  flock 9
  mkdir -p "$handover/$name" # a trace of a model, which a fit that failed does not leave
  rm -rf "$handover/$name/bundle" "$handover/outcome"
  mv "$handover/.fit.$$" "$handover/$name/bundle"
  exec 9>&-
  fitted=1
  say "a bundle of model $name waits for the publisher"
}

rm -f /tmp/done
train=${AFM_TRAIN:-once}
case $train in once|always|warm) ;; *) fail "AFM_TRAIN=$train: once, always or warm" ;; esac
[ -z "${AFM_DATA:-}" ] || [ -n "${AFM_SCHEMA:-}" ] || \
  fail "AFM_DATA needs AFM_SCHEMA: a schema file, as afm-train schema drafts it"
[ -z "${AFM_SCHEMA:-}" ] || [ -n "${AFM_DATA:-}" ] || fail "AFM_SCHEMA needs AFM_DATA: the log that it is of"

if [ -n "${AFM_DATA:-}" ]; then
  [ "$model" != example ] || fail "AFM_MODEL=example: the name of the made-up example; give the model another"
  if [ -e "$handover/$model/bundle/manifest.json" ]; then
    say "a trained bundle waits to be published: nothing to train"
  elif [ "$train" = once ] && [ -n "$(active "$model")$(stored "$model")" ]; then
    say "version $(active "$model") is live: nothing to train (AFM_TRAIN=always trains another)"
  else
    set -- "$AFM_DATA" --schema "$AFM_SCHEMA"
    [ -z "${AFM_TEST:-}" ] || set -- "$@" --test "$AFM_TEST"
    [ -z "${AFM_CONFIG:-}" ] || set -- "$@" --config "$AFM_CONFIG"
    if [ "$train" = warm ] && [ -e "$bundles/$model/$(active "$model")/manifest.json" ]; then
      say "begins from version $(active "$model")"
      set -- "$@" --from "$bundles/$model/$(active "$model")"
    fi
    # shellcheck disable=SC2086  # words of options
    fit "$model" "$@" ${AFM_FIT:-}
  fi
elif [ "$train" = warm ]; then
  fail "AFM_TRAIN=warm needs AFM_DATA and AFM_SCHEMA"
elif [ -n "$(active "$model")$(others)" ]; then
  [ "$train" = once ] || fail "AFM_TRAIN=$train needs AFM_DATA and AFM_SCHEMA: there is a model that is not the example"
  say "version $(active "$model") is live: nothing to train (no AFM_DATA is given; the example is not put beside another model)"
elif [ -n "${AFM_MODEL_GIVEN:-}" ]; then
  say "AFM_MODEL=$AFM_MODEL_GIVEN is given and no AFM_DATA: nothing to train, and no example is made up for it"
elif [ -e "$handover/example/bundle/manifest.json" ]; then
  say "a trained bundle waits to be published: nothing to train"
elif [ "$train" = once ] && [ -n "$(active example)$(stored example)" ]; then
  say "version $(active example) is live: nothing to train (it is the made-up example; give AFM_DATA and AFM_SCHEMA for a model of your own)"
else
  say "no AFM_DATA is given: training on a MADE-UP EXAMPLE, as model example"
  made=$(mktemp -d)/example
  afm-train simulate --rows "${AFM_EXAMPLE_ROWS:-200000}" --seed 1 --out "$made"
  fit example "$made/train.parquet" --schema "$made/schema.toml" \
    --config /srv/afm/training/configs/example.toml --test "$made/test.parquet"
  model=example
fi
finish "$model"
