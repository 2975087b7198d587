#!/bin/sh
# Starts Redis, or Valkey, with the users of redis-users.acl. An evicting policy would turn known values into
# unknown ones; append-only survives a restart. It may hold six tenths of the container's memory, as a rewrite
# of its file needs the rest: beyond that a publish is refused, and the versions that are there stay.
set -eu
umask 027
here=/usr/local/share/afm
sh $here/redis-users.sh $here/redis-users.acl /logins redis:6379 > /logins/operator/users.acl
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes)
case $limit in *[!0-9]*|'') most=400mb ;; *) most=$((limit / 10 * 6)) ;; esac
server=$(command -v valkey-server || command -v redis-server)
exec "$server" --aclfile /logins/operator/users.acl --dir /data --appendonly yes --protected-mode no \
  --maxmemory "$most" --maxmemory-policy noeviction
