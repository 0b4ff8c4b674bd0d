# The service without the embedded PostgreSQL: it needs a database of its own (MEDAI_DATABASE_URL).
# BASE_IMAGE: a Debian with python3.11 and python3.11-venv, named by digest (NAME@sha256:...). It has no default, because a
# tag means another image tomorrow: a build without it stops and names it. The pipeline resolves its tag to a digest.
ARG BASE_IMAGE

# hadolint ignore=DL3006  # the tag or digest is in the argument
FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python3.11 -m venv .venv
COPY requirements.lock requirements-demo.lock ./
# The build backend is pinned in the next lock; it is in the image no longer than it is needed.
RUN sed -n '/^setuptools==/,/^    # via/p' requirements-demo.lock >build.lock \
    && .venv/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.lock \
    && .venv/bin/python -m pip install --require-hashes --only-binary :all: -r build.lock
COPY . .
# Editable: the migrations stand beside the packages, and both are read from /app. Bytecode is checked against the
# source's hash, not its time, so that two builds of a commit make the same files and a later change is seen.
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation --no-index --editable . \
    && .venv/bin/python -m pip uninstall --yes setuptools pip \
    && rm -rf build.lock requirements-demo.lock ./*.egg-info \
    && .venv/bin/python -m compileall -q -j 0 --invalidation-mode checked-hash .venv/lib service audit sbom traceability migrations

# hadolint ignore=DL3006  # the same
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG COMMIT=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="MedAI Flow" \
      org.opencontainers.image.description="Inference for medical images; every answer carries the proof that it was recorded" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
# Nothing that installs, builds, interprets a line or lends its owner's rights is left: what a thief of a pod finds is what
# the service needs. dpkg's list of packages stays for scanners. The shell goes last, by the command that runs in it.
RUN groupadd --system --gid 10001 medai \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/medai --shell /usr/sbin/nologin medai \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/medai \
    && rm -rf /usr/lib/python3/dist-packages/pip* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
        /usr/local/lib/python3.11/site-packages/pip* /usr/local/lib/python3.11/ensurepip /usr/local/bin/pip* \
        /usr/local/lib/python3.11/site-packages/setuptools* /usr/local/lib/python3.11/site-packages/wheel* \
    && stdlib=$(python3.11 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(site|dist)-packages/|/lib2to3/tests/|/test/' "$stdlib" \
    && rm -rf /usr/bin/apt* /usr/lib/apt /usr/bin/dpkg* /usr/sbin/dpkg* /usr/bin/perl* /usr/share/perl* /usr/lib/*/perl* \
    && find / -xdev -type f -perm /6000 -delete \
    && rm -f /bin/bash /bin/rbash /bin/dash /bin/sh
COPY --from=build --chown=0:0 /app /app
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin MEDAI_HOME=/var/lib/medai MEDAI_COMMIT=${COMMIT} \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Keys, token hashes and anchors: mount it. Nothing else is written.
VOLUME /var/lib/medai
# implements: REQ-DEP-012
USER 10001:10001
WORKDIR /app
EXPOSE 8080 8081
ENTRYPOINT ["medai"]
CMD ["serve", "--host", "0.0.0.0"]
