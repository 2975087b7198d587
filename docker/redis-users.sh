#!/bin/sh
# redis-users RULES LOGINS HOST > users.acl: the rules, each user's with the hash of a password of its own.
# A password is drawn once, 256 random bits, and kept in LOGINS/USER/url, to be given only to that user.
set -eu
rules=$1 logins=$2 host=$3
for user in service publisher operator; do
  url=$logins/$user/url
  if [ ! -s "$url" ]; then
    mkdir -p "$logins/$user"
    password=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    echo "redis://$user:$password@$host/0" > "$url"
  fi
  hash=$(sed 's|^redis://[^:]*:\([^@]*\)@.*|\1|' "$url" | tr -d '\n' | sha256sum | cut -d' ' -f1)
  sed -n "s/^user $user on /&#$hash /p" "$rules"
done
sed -n '/^user default /p' "$rules"
