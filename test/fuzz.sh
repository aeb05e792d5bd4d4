#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (default 30s). Inputs that find something new are not made small
# for long: that took all the time where what a target covers is not the same each time.
set -euo pipefail
cd "$(dirname "$0")/.."
for pkg in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "== $pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 10x "$pkg" | tail -n 3
  done
done
