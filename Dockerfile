# The code location, the web server and the daemon: one image, three commands.
FROM python:3.12.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never \
    PATH=/opt/dvd_rental/.venv/bin:$PATH \
    DVD_RENTAL_HOME=/var/lib/dvd_rental \
    DAGSTER_HOME=/var/lib/dvd_rental/dagster

RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin dagster \
    && mkdir -p /opt/dvd_rental /var/lib/dvd_rental/dagster \
    && chown -R 10001:10001 /opt/dvd_rental /var/lib/dvd_rental

WORKDIR /opt/dvd_rental

COPY requirements.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir uv==0.13.8 \
    && uv venv .venv \
    && uv pip install --python .venv --no-cache --require-hashes --requirement requirements.lock

COPY dvd_rental_dagster dvd_rental_dagster
COPY dbt dbt
COPY dagster.yaml workspace.yaml ./
COPY deploy/docker/workspace.yaml deploy/docker/workspace.yaml
RUN uv pip install --python .venv --no-cache --no-deps --no-build-isolation --editable . \
    && python -c "from dvd_rental_dagster.settings import load_settings; from dvd_rental_dagster.transformation.project import manifest; manifest(load_settings())" \
    && chown -R 10001:10001 /var/lib/dvd_rental

USER 10001

EXPOSE 3000 4000

# The server listens once the code location is loaded.
HEALTHCHECK --interval=15s --timeout=10s --start-period=90s --retries=5 \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 4000), 5).close()"]

CMD ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "dvd_rental_dagster.definitions"]
