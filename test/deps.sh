#!/usr/bin/env bash
# Installs what the tests drive the broker with: Debian's pika and librabbitmq tools, strace, XFS and ext4.
set -euo pipefail
want=(python3-pika amqp-tools strace e2fsprogs xfsprogs)
missing=()
for p in "${want[@]}"; do dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p"); done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "installed: ${missing[*]}"
