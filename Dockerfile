# The bot without the pictures of its statistics. Everything it installs is locked in requirements*.txt, hashes and all.
# It runs as nobody in particular (10001), needs no writable root, and keeps an SQLite file, if it has one, in /data:
#   docker build -t sift-retry-bot .
FROM python:3.13-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# What changes rarely comes first, so that a change of the code installs only the code.
COPY requirements.txt requirements-build.txt ./
RUN python -m venv --without-pip /opt/sift-retry-bot \
    && pip install --require-hashes --only-binary :all: -r requirements-build.txt \
    && pip --python /opt/sift-retry-bot/bin/python install --require-hashes --only-binary :all: -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY migrations migrations
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/sift-retry-bot/bin/python install --no-deps /wheels/*.whl


FROM python:3.13-slim-bookworm

RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sift-retry \
    && install -d -o 10001 -g 10001 -m 711 /data
COPY --from=build /opt/sift-retry-bot /opt/sift-retry-bot

# slack-sdk wants a HOME, and whoever runs the image as another user has none.
ENV PATH=/opt/sift-retry-bot/bin:$PATH HOME=/data HOST=0.0.0.0 PORT=3000 LOG_FORMAT=json PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 3000

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]

ENTRYPOINT ["sift-retry"]
CMD ["run"]
