# The trainer: torch on the CPU, no Redis, no web server.
# Built from the project's root: docker build -f docker/training.Dockerfile -t ctr-afm-training .
FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/afm --create-home afm \
 && mkdir /var/lib/afm/bundles /var/lib/afm/handover && chown afm: /var/lib/afm/*
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# torch first and alone. Without an index of CPU builds in TORCH_INDEX pip may take the CUDA build:
# the same results, several GB more.
ARG TORCH_INDEX=
RUN pip install -q --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    -c constraints.txt "$(grep '^torch==' constraints.txt)"
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['train'], sep='\n')" > requirements.txt \
 && pip install -q --no-cache-dir -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY model model
COPY training training
COPY service/__init__.py service/
RUN pip install -q --no-cache-dir --no-deps . \
 && rm -rf /usr/local/bin/afm-serve /usr/local/lib/python3.11/site-packages/service
COPY docker/train-once.sh /usr/local/bin/train-once
USER afm
WORKDIR /var/lib/afm
ENV PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
CMD ["train-once"]
