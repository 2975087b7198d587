# The service: HTTP, onnxruntime and a Redis client; no torch, no compiler, no Redis server. Also the
# publisher (afm-serve publish). Built from the project's root, by docker compose or
#   docker build -f docker/service.Dockerfile -t ctr-afm-service .
# PYTHON_BASE takes a mirror or a digest: PYTHON_BASE=registry/python:3.11-slim-bookworm@sha256:...
ARG PYTHON_BASE=python:3.11-slim-bookworm

# The base without pip, perl, apt and what else builds (its list of packages stays, for scanners): one layer that stays the same until the base changes.
FROM ${PYTHON_BASE} AS slim
RUN rm -rf /opt/* /root/.cache /etc/pip.conf /usr/local/include /usr/local/lib/pkgconfig \
      /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/site-packages/* \
      /usr/local/lib/python3.11/test /usr/local/lib/python3.11/idlelib /usr/local/bin/pip* \
      /usr/bin/perl* /usr/lib/*/perl* /usr/lib/*/libperl* /usr/share/perl* /usr/lib/*/gconv \
      /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt* /var/lib/apt /usr/share/man /usr/share/locale \
 && mkdir -p /var/lib/afm/bundles /var/lib/afm/handover /var/lib/afm/notes /live \
 && chown -R 10001:10001 /var/lib/afm /live

# The dependencies, each archive checked against its hash; byte-compiled.
FROM ${PYTHON_BASE} AS dependencies
RUN python -m venv --without-pip /srv/afm
COPY docker/requirements-service.txt ./
RUN pip --python /srv/afm/bin/python install -q --no-cache-dir --no-deps --compile --require-hashes \
      -r requirements-service.txt \
 && find /srv/afm -type d \( -name tests -o -name test -o -name include \) -prune -exec rm -rf {} + \
 && find /srv/afm -name '*.c' -delete -o -name '*.pyx' -delete -o -name '*.a' -delete

# The source, a layer for each package: a changed line makes the layer of its package anew, and no
# other. The model without its nets, which need torch.
FROM ${PYTHON_BASE} AS model
COPY model /out/lib/python3.11/site-packages/model
RUN rm -r /out/lib/python3.11/site-packages/model/nets \
 && python -m compileall -q --invalidation-mode unchecked-hash /out/lib

FROM ${PYTHON_BASE} AS service
WORKDIR /src
COPY service service
COPY docker/wheel.py pyproject.toml ./
RUN python wheel.py /out/lib/python3.11/site-packages /out/bin /srv/afm/bin/python service \
 && python -m compileall -q --invalidation-mode unchecked-hash /out/lib

FROM scratch
COPY --from=slim / /
COPY --from=dependencies /srv/afm /srv/afm
COPY --chmod=755 docker/publish-waiting.sh /usr/local/bin/publish-waiting
COPY docker/health.py docker/licences.py /usr/local/share/afm/
COPY --from=model /out /srv/afm
COPY --from=service /out /srv/afm
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="ctr-afm service" \
      org.opencontainers.image.description="Click probabilities over HTTP, and afm-serve publish" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/srv/afm/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    AFM_HOME=/var/lib/afm
USER 10001:10001
WORKDIR /var/lib/afm
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-S", "/usr/local/share/afm/health.py", "/healthz"]
CMD ["afm-serve", "run", "--host", "0.0.0.0", "--port", "8000"]
