# CLM in an image: `api`, `worker` or `migrate`. The database is elsewhere: set CLM_DATABASE_URL.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/clm && /opt/clm/bin/pip install --no-cache-dir uv
COPY requirements.lock .
# The runtime lock alone: neither tests nor the embedded database.
RUN /opt/clm/bin/uv pip install --python /opt/clm/bin/python --compile-bytecode \
    --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY clm_service clm_service
COPY app app
COPY migrations migrations
RUN /opt/clm/bin/uv pip install --python /opt/clm/bin/python --no-deps . \
    && /opt/clm/bin/uv pip uninstall --python /opt/clm/bin/python uv

FROM python:3.13-slim
COPY --from=build /opt/clm /opt/clm
COPY --chmod=0755 docker-entrypoint.sh /usr/local/bin/clm-entrypoint
RUN useradd --system --uid 10001 --no-create-home clm
ENV PATH=/opt/clm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CLM_EMBEDDED=false CLM_HOST=0.0.0.0 CLM_PORT=8000 CLM_DRAIN_SECONDS=5
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["clm-entrypoint"]
CMD ["api"]
