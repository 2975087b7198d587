#!/bin/sh
# What the trainer of docker-compose.yml does: leaves a bundle in the handover volume for the publisher,
# unless one waits there already or a version is live. AFM_TRAIN=always trains beside a live version.
set -eu
handover=/var/lib/afm/handover
live=$(cat /mnt/live/version) # what Redis named as active before this container started; empty for none

if [ -e "$handover/bundle/manifest.json" ]; then
  echo "a trained bundle waits to be published: nothing to train"
elif [ -n "$live" ] && [ "${AFM_TRAIN:-once}" != always ]; then
  echo "version $live is live: nothing to train (AFM_TRAIN=always trains another)"
elif [ -n "${AFM_DATA:-}" ]; then
  [ -n "${AFM_SCHEMA:-}" ] || { echo "AFM_DATA needs AFM_SCHEMA: a schema file, as afm-train schema drafts it" >&2; exit 2; }
  afm-train fit "$AFM_DATA" --schema "$AFM_SCHEMA" --out "$handover/bundle"
else
  example=$(mktemp -d)/example
  afm-train simulate --rows "${AFM_EXAMPLE_ROWS:-200000}" --seed 1 --out "$example"
  afm-train fit "$example/train.parquet" --schema "$example/schema.toml" \
    --config /src/training/configs/example.toml --test "$example/test.parquet" --out "$handover/bundle"
fi
