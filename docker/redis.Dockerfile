# Redis with the users of the stack. REDIS_BASE may be Valkey, a mirror, or a digest:
#   REDIS_BASE=valkey/valkey:8-bookworm docker compose build redis
ARG REDIS_BASE=redis:7-bookworm
FROM ${REDIS_BASE}
USER 0:0
# 10001 is the group of the containers that read a login; setgid hands it on to the files.
RUN mkdir -p /data /logins/operator /logins/publisher /logins/service /live \
 && chown 999:999 /data && chown 999:10001 /logins/* && chmod 2750 /logins/* && chown 10001:10001 /live
COPY docker/redis-users.acl docker/redis-users.sh docker/redis-start.sh docker/rotate-logins.sh docker/whats-live.sh /usr/local/share/afm/
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="ctr-afm Redis with its users" \
      org.opencontainers.image.version="${VERSION}"
USER 999:999
WORKDIR /data
EXPOSE 6379
ENTRYPOINT []
CMD ["sh", "/usr/local/share/afm/redis-start.sh"]
