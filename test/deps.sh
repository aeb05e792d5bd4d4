#!/usr/bin/env bash
# Installs what the tests drive the broker with: Debian's pika, Celery and librabbitmq tools, Node and its amqplib, strace, XFS and ext4,
# rpm and systemd-analyze.
set -euo pipefail
want=(python3-pika python3-celery amqp-tools strace e2fsprogs xfsprogs rpm systemd)
missing=()
for p in "${want[@]}"; do dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p"); done
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
	sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	echo "installed: ${missing[*]}"
fi
modules=${XDG_CACHE_HOME:-$HOME/.cache}/warren-test
[ -d "$modules/node_modules/amqplib" ] || npm install --silent --no-audit --no-fund --prefix "$modules" amqplib@0.10.9 >/dev/null
