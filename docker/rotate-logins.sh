#!/bin/sh
# rotate-logins [USER...]: a new password for users of Redis, without a restart. For a second both are good,
# so that nobody is refused; then the old one is gone, in the file and in the running server.
set -eu
umask 027
here=/usr/local/share/afm logins=/logins
cli() { "$(command -v valkey-cli || command -v redis-cli)" --no-auth-warning -h 127.0.0.1 --user operator --pass "$operator" "$@"; }
password_in() { sed 's|^redis://[^:]*:\([^@]*\)@.*|\1|' "$1"; }
operator=$(password_in $logins/operator/url)
[ $# -gt 0 ] || set -- service publisher operator
for user in "$@"; do
  new=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
  cli acl setuser "$user" ">$new" > /dev/null
  echo "redis://$user:$new@redis:6379/0" > "$logins/$user/.url"
  mv "$logins/$user/.url" "$logins/$user/url"
done
operator=$(password_in $logins/operator/url)
sleep 1.2 # a worker makes its connection anew each second
sh $here/redis-users.sh $here/redis-users.acl $logins redis:6379 > $logins/operator/.users.acl
mv $logins/operator/.users.acl $logins/operator/users.acl
cli acl load > /dev/null
echo "new passwords: $*; the old ones are refused"
