#!/bin/sh
# What one container runs: `web`, `worker`, `beat`, `inference`, `migrate`, or any other command as it is given.
# The settings are checked first, so a wrong one ends in one line that names it.
set -eu

# PostgreSQL's client reads its password from PGPASSWORD; a secret comes as a file.
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
fi

case "${1:-web}" in
web)
    python manage.py check
    exec python -m uvicorn config.asgi:application --host "$HOST" --port "$PORT" \
        --no-access-log --log-level warning --timeout-graceful-shutdown 20
    ;;
worker)
    python manage.py check
    exec python -m celery -A config --quiet worker --pool threads \
        --concurrency "${WORKER_CONCURRENCY:-2}" --loglevel warning
    ;;
beat)
    python manage.py check
    exec python -m celery -A config --quiet beat --loglevel warning
    ;;
inference)
    exec python -m services.inference.server
    ;;
migrate)
    exec python manage.py migrate --no-input
    ;;
*)
    exec "$@"
    ;;
esac
