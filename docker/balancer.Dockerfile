# A balancer before several replicas of the service: HAProxy from Debian's packages.
ARG BALANCER_BASE=debian:bookworm-slim
FROM ${BALANCER_BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
COPY docker/haproxy.cfg /etc/haproxy/haproxy.cfg
LABEL org.opencontainers.image.title="ctr-afm balancer"
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGUSR1
ENTRYPOINT []
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
