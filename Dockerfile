# One image for the hub and for sidecars: the locked requirements of a server, then the project itself.
# A release pins the base by digest: docker build --build-arg BASE=python@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/crewhub
COPY deploy/requirements.lock.txt deploy/builder.lock.txt /build/
RUN /opt/crewhub/bin/pip install --require-hashes -r /build/requirements.lock.txt
RUN python -m venv /build/tools && /build/tools/bin/pip install --require-hashes -r /build/builder.lock.txt
COPY pyproject.toml README.md LICENSE /build/
COPY protocol /build/protocol
COPY console /build/console
COPY hub /build/hub
COPY sidecar /build/sidecar
COPY plugins /build/plugins
COPY crews /build/crews
RUN cd /build && tools/bin/python -m hatchling build -t wheel \
    && /opt/crewhub/bin/pip install --no-deps dist/crewhub-*.whl

FROM ${BASE}
RUN groupadd --gid 10001 crewhub && useradd --uid 10001 --gid 10001 --no-create-home crewhub \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/crewhub
COPY --from=build /opt/crewhub /opt/crewhub
ENV PATH=/opt/crewhub/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/var/lib/crewhub
WORKDIR /var/lib/crewhub
USER 10001:10001
VOLUME /var/lib/crewhub
EXPOSE 4000
CMD ["hub", "serve", "--host", "0.0.0.0"]
