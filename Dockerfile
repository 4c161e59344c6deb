FROM python:3.13-slim AS packages
WORKDIR /packages
COPY requirements.lock requirements-uv.lock ./
COPY deploy/packages/install.sh deploy/packages/
RUN python -m venv --without-pip /opt/venv \
    && sh deploy/packages/install.sh python /opt/venv requirements.lock --compile-bytecode --no-cache \
    && python -m pip --python /opt/venv/bin/python uninstall --yes uv

FROM python:3.13-slim
# The service listens on all addresses, for a published port, and writes to one volume only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data
# /data belongs to the group 0 too: OpenShift runs a container as a user of its own choice, in that group.
# The last line: no program of the base system lends its owner's rights, also without no-new-privileges.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin service \
    && mkdir --mode=0770 /data \
    && chown service:0 /data \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv
COPY . .
RUN python -m compileall -q .
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-m", "app.cli.healthcheck"]
ENTRYPOINT ["python", "main.py"]
CMD ["serve"]
