# syntax=docker/dockerfile:1
# The daemon, or any other `orch` command, in a container: no compiler, no pip, no root.
# docs/how-to/run-in-a-container.md shows how it is used; deploy/compose.yaml runs it with a store beside it.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv --without-pip /opt/orch && python -m venv /opt/build
# What seldom changes comes first: a change of the source installs nothing but the source again.
COPY requirements.lock requirements-build.lock ./
RUN pip --python /opt/orch/bin/python install --require-hashes --requirement requirements.lock \
 && /opt/build/bin/pip install --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/orch/bin/python install --no-deps /wheels/*.whl \
 && /opt/orch/bin/orch version

FROM python:3.13-slim
RUN groupadd --gid 10001 orch \
 && useradd --no-log-init --uid 10001 --gid orch --home-dir /state --no-create-home --shell /usr/sbin/nologin orch \
 && install --directory --owner=orch --group=orch --mode=0700 /state \
 && install --directory --owner=orch --group=orch /work
COPY --from=build /opt/orch /opt/orch
ENV PATH=/opt/orch/bin:$PATH \
    HOME=/state \
    ORCH_STATE_DIR=/state \
    ORCH_OUTPUT_ROOTS=/work \
    NUMBA_CACHE_DIR=/state/numba
USER 10001:10001
WORKDIR /work
VOLUME /state
# The daemon stops its jobs in order; give it the time: `docker stop --time 60`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s CMD ["orch", "doctor", "--output", "quiet"]
ENTRYPOINT ["orch"]
CMD ["daemon"]
