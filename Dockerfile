# One image for all of Olvido's processes: `docker build -t olvido .`, then `docker run olvido --help`.
# What is installed is pinned by requirements.lock, by hash. Mirrors: build with `--build-arg PIP_INDEX_URL`
# and `--build-arg UV_DEFAULT_INDEX`.

FROM python:3.11.14-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements-bootstrap.lock requirements.lock pyproject.toml ./
RUN pip install --no-cache-dir --require-hashes -r requirements-bootstrap.lock
# The lock holds what tests and the embedded parts need as well: of its pins, those that the extras need
# are chosen here, and each must still have its hash from the lock.
RUN uv venv /opt/olvido \
 && uv pip compile --quiet --no-header --extra processors --extra sinks --extra otel --constraints requirements.lock \
        pyproject.toml --output-file chosen.txt \
 && uv pip install --python /opt/olvido --require-hashes --constraints requirements.lock -r chosen.txt
COPY . .
RUN uv build --wheel --build-constraints requirements.lock --require-hashes --out-dir /wheel \
 && uv pip install --python /opt/olvido --no-deps /wheel/*.whl

FROM build AS build-shop
RUN printf 'starlette\nuvicorn\nidna\n' > shop.in \
 && uv pip compile --quiet --no-header --constraints requirements.lock shop.in --output-file shop.txt \
 && uv pip install --python /opt/olvido --require-hashes --constraints requirements.lock -r shop.txt

FROM python:3.11.14-slim-bookworm AS olvido
ARG REGIONS="cn sg"
ARG PRINCIPALS="producer verifier desk sink-crm sink-marketing sink-analytics sink-store-cn sink-store-sg"
ENV PATH=/opt/olvido/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A named volume takes its owner from the folder it is mounted on, so these are made here.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /srv/olvido --shell /usr/sbin/nologin olvido \
 && mkdir -p /srv/olvido /keys/handle /keys/public /keys/private /keys/signing /data \
 && for region in control $REGIONS; do mkdir -p "/srv/olvido/.olvido/keys/private/$region"; done \
 && for name in $PRINCIPALS; do mkdir -p "/srv/olvido/.olvido/keys/signing/$name"; done \
 && chown -R olvido:olvido /srv/olvido /keys /data
COPY --from=build /opt/olvido /opt/olvido
# Healthy is who is in its consumer group: `in-group olvido.recorder`.
COPY --chmod=755 <<'PYTHON' /usr/local/bin/in-group
#!/opt/olvido/bin/python
import sys
from olvido.broker.groups import group_state
from olvido.schemas.settings.deployment import Connections
sys.exit(0 if group_state(Connections.from_env().kafka, sys.argv[1]).members else 1)
PYTHON

WORKDIR /srv/olvido
USER 10001:10001
ENTRYPOINT ["olvido"]
CMD ["--help"]

# The example shop's own systems, of which Olvido's processes need nothing.
FROM olvido AS shop
COPY --from=build-shop /opt/olvido /opt/olvido
COPY examples/shop /srv/shop
WORKDIR /srv/shop
ENTRYPOINT ["python"]
CMD ["marketing.py", "--port", "8085", "--file", "/data/marketing.sqlite"]
