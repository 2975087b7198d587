#!/bin/sh
for n in $(seq 100); do
  wget --server-response --quiet --output-document=/dev/null --post-file="$2" \
    --header="content-type: application/json" "$1/predict" 2>&1 | awk '/HTTP\//{print $2}'
done
