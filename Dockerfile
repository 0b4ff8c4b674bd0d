# The service without the embedded PostgreSQL: it needs a database of its own (MEDAI_DATABASE_URL).
# BASE_IMAGE: any image with Python 3.11 at /usr/local/bin or /usr/bin; name it by digest for a build that repeats.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3.11 -m venv /app/.venv
WORKDIR /app
COPY requirements.lock requirements-demo.lock ./
# The build backend is pinned in the next lock; it is in the image no longer than it is needed.
RUN sed -n '/^setuptools==/,/^    # via/p' requirements-demo.lock >build.lock \
    && .venv/bin/python -m pip install --require-hashes -r requirements.lock \
    && .venv/bin/python -m pip install --require-hashes -r build.lock
COPY . .
# Editable: the migrations stand beside the packages, and both are read from /app.
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation --no-index --editable . \
    && .venv/bin/python -m pip uninstall --yes setuptools pip \
    && rm -rf build.lock requirements-demo.lock *.egg-info \
    && .venv/bin/python -m compileall -q service audit sbom traceability migrations

FROM ${BASE_IMAGE}
COPY --from=build --chown=0:0 /app /app
ENV PATH=/app/.venv/bin:$PATH MEDAI_HOME=/var/lib/medai PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Keys, token hashes and anchors: mount it. Nothing else is written.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/medai
VOLUME /var/lib/medai
USER 10001:10001
WORKDIR /app
EXPOSE 8080 8081
ENTRYPOINT ["medai"]
CMD ["serve", "--host", "0.0.0.0"]
