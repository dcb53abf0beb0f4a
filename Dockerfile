# ftetl as an image: it runs without root, and needs to write to nothing but the volume /data.
# docs/schedulers.md has the lines that build and run it.
FROM python:3.13-slim AS build
COPY pyproject.toml README.md LICENSE /src/
COPY ftetl /src/ftetl
COPY schemas /src/schemas
RUN python -m venv /opt/ftetl && /opt/ftetl/bin/pip install --no-cache-dir /src

FROM python:3.13-slim
COPY --from=build /opt/ftetl /opt/ftetl
RUN mkdir -m 0700 /data && chown 10001:10001 /data
ENV PATH=/opt/ftetl/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME /data
# ftetl is process 1: it handles SIGTERM and SIGINT itself, and starts no other process.
STOPSIGNAL SIGTERM
ENTRYPOINT ["ftetl"]
