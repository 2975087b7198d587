# The trainer: torch on the CPU, no Redis, no web server. Built from the project's root, by docker compose
# or docker build -f docker/training.Dockerfile -t ctr-afm-training .
ARG PYTHON_BASE=python:3.11-slim-bookworm

# torch first and by itself, in a layer that lasts until its own pin changes. Without an index of CPU builds
# in TORCH_INDEX pip may take the CUDA build: the same results, several GB more. torch has no hash here, as
# each index has its own build of it; all that it needs is in requirements-training.txt, with hashes.
FROM ${PYTHON_BASE} AS torch
ARG TORCH_INDEX=
ARG TORCH=2.13.0
RUN pip install -q --no-cache-dir --no-deps --target /srv/torch \
      ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "torch==$TORCH" \
 && sed -n 's/^Requires-Dist: \(nvidia\|cuda\|triton\)/\1/p' /srv/torch/torch-*.dist-info/METADATA > cuda.txt \
 && if [ -s cuda.txt ]; then pip install -q --no-cache-dir --target /srv/torch -r cuda.txt; fi \
 && find /srv/torch -name __pycache__ -prune -exec rm -rf {} +

FROM ${PYTHON_BASE} AS dependencies
COPY docker/requirements-training.txt ./
RUN pip install -q --no-cache-dir --no-deps --require-hashes --target /srv/train -r requirements-training.txt

FROM ${PYTHON_BASE} AS source
WORKDIR /src
COPY model model
COPY training training
COPY docker/wheel.py pyproject.toml ./
RUN python wheel.py /out /out/bin /usr/local/bin/python3 model training \
 && python -m compileall -q --invalidation-mode unchecked-hash /out/model /out/training

FROM ${PYTHON_BASE}
RUN mkdir -p /var/lib/afm/handover /var/lib/afm/work && chown -R 10001:10001 /var/lib/afm
COPY --from=torch /srv/torch /srv/torch
COPY --from=dependencies /srv/train /srv/train
COPY --chmod=755 docker/train-once.sh /usr/local/bin/train-once
COPY --from=source /out /srv/afm
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="ctr-afm trainer" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/srv/afm/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/srv/afm:/srv/train:/srv/torch \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /var/lib/afm
CMD ["train-once"]
