#!/bin/sh
# Writes down for the trainer, which does not know Redis, what is active: one file a model, empty for none.
# In one step each, as a trainer may be started beside it.
# Status 3: Redis does not answer.
set -eu
umask 022
cli=$(command -v valkey-cli || command -v redis-cli)
url=$(cat /logins/service/url)
for model in "$AFM_MODEL" example; do
  "$cli" --no-auth-warning -u "$url" --raw get "afm:$model:active" > "/live/.$model" || exit 3
  if grep -qE '^(NOAUTH|WRONGPASS|ERR|LOADING|Could not)' "/live/.$model"; then
    cat "/live/.$model" >&2; exit 1
  fi
  mv "/live/.$model" "/live/$model"
done
