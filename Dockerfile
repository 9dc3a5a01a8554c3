# orch in a container, without a compiler, a package manager's cache or root.
#
#   docker build -t orch .
#   docker run --rm -it --init -v "$PWD:/work" -v orch-state:/state orch run session.yaml

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/orch && python -m venv /opt/build
COPY requirements.lock requirements-build.lock ./
RUN /opt/orch/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/orch/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home orch && install -d -o orch -g orch /state /work
COPY --from=build /opt/orch /opt/orch
ENV PATH=/opt/orch/bin:$PATH ORCH_STATE_DIR=/state PYTHONUNBUFFERED=1
USER orch
WORKDIR /work
VOLUME /state
ENTRYPOINT ["orch"]
CMD ["--help"]
