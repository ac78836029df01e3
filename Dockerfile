# Two images from one file: `docker build --target hub .` and `docker build --target sidecar .`
# Wheels only, by their hashes: nothing is compiled here but bytecode, and the images have neither compiler nor
# pip of their own. A release pins the base by digest: --build-arg BASE=python@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY deploy/builder.lock.txt /build/
RUN pip install --only-binary :all: --require-hashes -r /build/builder.lock.txt
COPY pyproject.toml README.md LICENSE /build/
COPY protocol /build/protocol
COPY console /build/console
COPY streams /build/streams
COPY hub /build/hub
COPY sidecar /build/sidecar
COPY plugins /build/plugins
COPY crews /build/crews
RUN cd /build && python -m hatchling build -t wheel

# What both have in common: an environment without pip, filled by the pip of the base.
FROM ${BASE} AS empty
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
RUN python -m venv --without-pip /opt/crewhub

# Bytecode that is not compared with its source: nobody can write either, and COPY may change times.
FROM empty AS hub-packages
COPY deploy/hub.lock.txt /build/
RUN pip --python /opt/crewhub/bin/python install --only-binary :all: --require-hashes -r /build/hub.lock.txt
COPY --from=wheel /build/dist /build/dist
RUN pip --python /opt/crewhub/bin/python install --no-deps /build/dist/crewhub-*.whl
RUN /opt/crewhub/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /crewai_cli/templates/ /opt/crewhub/lib

FROM empty AS sidecar-packages
COPY deploy/sidecar.lock.txt /build/
RUN pip --python /opt/crewhub/bin/python install --only-binary :all: --require-hashes -r /build/sidecar.lock.txt
COPY --from=wheel /build/dist /build/dist
RUN pip --python /opt/crewhub/bin/python install --no-deps /build/dist/crewhub-*.whl
RUN /opt/crewhub/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /crewai_cli/templates/ /opt/crewhub/lib

FROM ${BASE} AS bare
RUN groupadd --gid 10001 crewhub && useradd --uid 10001 --gid 10001 --no-create-home crewhub \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/crewhub
ENV PATH=/opt/crewhub/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/var/lib/crewhub
WORKDIR /var/lib/crewhub
USER 10001:10001
VOLUME /var/lib/crewhub

# Without TLS or --insecure it says so and ends: plain HTTP beyond this machine is the operator's decision.
FROM bare AS hub
COPY --from=hub-packages /opt/crewhub /opt/crewhub
EXPOSE 4000
CMD ["hub", "serve", "--host", "0.0.0.0"]

# The hub's address in SIDECAR_HUB_URL, the token's file in SIDECAR_TOKEN_FILE.
FROM bare AS sidecar
COPY --from=sidecar-packages /opt/crewhub /opt/crewhub
EXPOSE 8000
CMD ["sidecar", "connect", "--health-host", "0.0.0.0", "--health-port", "8000"]
