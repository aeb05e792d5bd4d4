#!/bin/sh
set -e
getent group warren >/dev/null || groupadd --system warren
getent passwd warren >/dev/null || useradd --system --gid warren --home-dir /var/lib/warren --shell /usr/sbin/nologin warren
