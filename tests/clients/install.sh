#!/bin/sh
# The clients of `make clients`, those that are not there: programs from Debian (as root, or by
# sudo), libraries of Python and Node into .venv/clients.
set -eu
cd "$(dirname "$0")/../.."
here=.venv/clients
missing=
for pair in nginx:nginx haproxy:haproxy openssl:openssl curl:curl wget:wget ruby:ruby php:php-cli perl:perl \
  go:golang-go node:nodejs npm:npm java:default-jdk-headless javac:default-jdk-headless ab:apache2-utils wrk:wrk hey:hey; do
  PATH="$PATH:/usr/sbin" command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -e /usr/share/java/httpclient.jar ] || missing="$missing libhttpclient-java"
[ -e /usr/share/java/okhttp.jar ] || missing="$missing libokhttp-java"
[ -e /usr/share/java/geronimo-annotation-1.3-spec.jar ] || missing="$missing libgeronimo-annotation-1.3-spec-java"
[ -e /usr/share/gocode/src/gopkg.in/validator.v2 ] || missing="$missing golang-gopkg-validator.v2-dev"
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] && sudo= || sudo=sudo
  $sudo apt-get update -qq
  # shellcheck disable=SC2086  # one package a word
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
[ -x $here/bin/python ] || .venv/bin/python -m venv $here
$here/bin/python -m pip install -qq --no-input --disable-pip-version-check -r tests/clients/requirements.txt
cp tests/clients/package.json $here/
npm install --silent --no-audit --no-fund --prefix $here
