# The service: HTTP, onnxruntime and a Redis client; no torch. Also the publisher (afm-serve publish).
# Built from the project's root: docker build -f docker/service.Dockerfile -t ctr-afm-service .
FROM python:3.11-slim-bookworm AS build
RUN python -m venv --without-pip /srv/afm
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# The dependencies first, in a layer that lasts until a pin changes.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['serve'], sep='\n')" > requirements.txt \
 && pip --python /srv/afm/bin/python install -q --no-cache-dir -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY model model
COPY service service
COPY training/__init__.py training/
RUN pip --python /srv/afm/bin/python install -q --no-cache-dir --no-deps . \
 && rm -rf /srv/afm/bin/afm-train /srv/afm/lib/python3.11/site-packages/training \
 && find /srv/afm -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +

FROM python:3.11-slim-bookworm AS root
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/afm --create-home afm \
 && mkdir /var/lib/afm/bundles /var/lib/afm/handover && chown afm: /var/lib/afm/* \
 && rm -rf /opt/* /root/.cache /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/site-packages/* /usr/local/bin/pip*
COPY --from=build /srv/afm /srv/afm
COPY docker/publish-once.sh /usr/local/bin/publish-once
COPY docker/with-redis.sh /usr/local/bin/with-redis

# One layer, copied: what was removed above takes no room, and there is no pip in the image.
FROM scratch
COPY --from=root / /
ENV PATH=/srv/afm/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    AFM_HOME=/var/lib/afm
USER afm
WORKDIR /var/lib/afm
EXPOSE 8000
ENTRYPOINT ["with-redis"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["afm-serve", "run", "--host", "0.0.0.0", "--port", "8000"]
