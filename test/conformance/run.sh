#!/usr/bin/env bash
# Other people's test suites against a Warren of their own, each on a fresh data directory.
#   test/conformance/run.sh [SUITE...]   without arguments all: seed-programs go-amqp091 go-streadway amqp-tools rabbitmqadmin malformed
# CONFORMANCE  the suites (default ../shared/conformance beside the project)
# AMQP_PORT, MGMT_PORT  where the Warren listens (7290, 7291)
# Installs what is missing from Debian: curl, pika, librabbitmq's programs, and the script out of rabbitmq-server's package.
# Ends with a table: passed, failed, skipped, and RabbitMQ 4.3.6's own count. Exit code 1: a suite passed less than RabbitMQ.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
suites=${CONFORMANCE:-$root/../shared/conformance}
suites=$(cd "$suites" 2>/dev/null && pwd) || { echo "no suites: set CONFORMANCE to their directory" >&2; exit 2; }
export AMQP_HOST=127.0.0.1 AMQP_PORT=${AMQP_PORT:-7290} MGMT_PORT=${MGMT_PORT:-7291} AMQP_USER=guest AMQP_PASS=guest VHOST=/
work=$(mktemp -d "${TMPDIR:-/tmp}/warren-conformance.XXXXXX")
export W=${W:-${TMPDIR:-/tmp}/warren-conformance}
warren=$root/bin/warren
pid=

# What RabbitMQ 4.3.6 itself passes of each suite.
declare -A theirs=([seed-programs]=5 [go-amqp091]=246 [go-streadway]=98 [amqp-tools]=10 [rabbitmqadmin]=31 [malformed]=144)

stop() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; pid=; }
}
trap 'stop; rm -rf "$work"' EXIT

start() { # start SUITE: a Warren on a directory of its own
	"$warren" serve --data "$work/$1" --amqp "127.0.0.1:$AMQP_PORT" --http "127.0.0.1:$MGMT_PORT" >"$work/$1.log" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		(echo >"/dev/tcp/127.0.0.1/$AMQP_PORT") 2>/dev/null && return
		kill -0 "$pid" 2>/dev/null || break
		sleep .1
	done
	echo "warren did not start:" >&2; tail -5 "$work/$1.log" >&2; exit 1
}

field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

tenant() { # what the seed's programs connect to: a cluster's vhost, a role and its key
	local id
	id=$("$warren" cluster create suite --data "$1" --output json | field id)
	"$warren" vhost create demo --cluster "$id" --data "$1" >/dev/null
	AMQP_PASS=$("$warren" role create suite --cluster "$id" --data "$1" --output json | field key)
	"$warren" role grant suite --cluster "$id" --vhost demo --produce --consume --data "$1" >/dev/null
	export AMQP_PASS AMQP_USER=suite SEED_VHOST="$id|demo" NO_SETUP=1
}

run() ( # run SUITE, in a shell of its own: some need another login
	case $1 in
	seed-programs) tenant "$work/$1" ;;
	malformed) export EXPECT=$suites/expect/malformed-rabbitmq-4.3.6.json ;;
	esac
	set +e
	bash "$suites/$1.sh" 2>&1 | tee "$W/$1.out"
)

again() { # again SUITE: did chance decide?
	case $1 in
	# TestTLSHandshake, which no broker takes part in, can end the program: 'Fail in goroutine after ... has completed'
	go-streadway) grep -qs 'after TestTLSHandshake has completed' "$W/$1.txt" ;;
	# Three cases send frames one by one and depend on the second to be there before the answer to the first.
	malformed) grep -A1 -E '^(consume_duplicate_tag|consume_exclusive_twice|delete_queue_in_use_if_unused) ' "$W/$1.out" | grep -q expected: ;;
	*) false ;;
	esac
}

installed= # the index of packages is new
index() {
	[ -z "$installed" ] || return 0
	$sudo apt-get update -qq
	installed=1
}

need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null && return
	index
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$2" >/dev/null
	echo "installed: $2"
}

admin() { # rabbitmqadmin, without the broker that it comes with
	[ -n "${RABBITMQADMIN:-}" ] && return
	RABBITMQADMIN=${XDG_CACHE_HOME:-$HOME/.cache}/warren-test/rabbitmqadmin
	export RABBITMQADMIN
	[ -s "$RABBITMQADMIN" ] && return
	index
	(
		mkdir "$work/deb" && cd "$work/deb"
		apt-get download -qq rabbitmq-server
		dpkg -x ./*.deb .
		mkdir -p "$(dirname "$RABBITMQADMIN")"
		cp usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_management-*/priv/www/cli/rabbitmqadmin "$RABBITMQADMIN"
	)
	echo "taken out of its package: $RABBITMQADMIN"
}

setup() { # setup SUITE
	case $1 in
	seed-programs) /usr/bin/python3 -c 'import pika' 2>/dev/null || need pika-is-no-program python3-pika ;;
	amqp-tools) need amqp-publish amqp-tools ;;
	rabbitmqadmin) admin ;;
	esac
}

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
make -s -C "$root" build
mkdir -p "$W"
all=("$@")
[ $# -gt 0 ] || all=(seed-programs go-amqp091 go-streadway amqp-tools rabbitmqadmin malformed)
need python3 python3
need curl curl
table=() worse=0
for suite in "${all[@]}"; do
	[ -n "${theirs[$suite]:-}" ] || { echo "no suite $suite; there are: ${!theirs[*]}" >&2; exit 2; }
	setup "$suite"
	echo "--- $suite"
	start "$suite"
	run "$suite" || true
	for _ in 1 2 3; do
		again "$suite" || break
		echo "--- $suite, once more"
		run "$suite" || true
	done
	kill -0 "$pid" 2>/dev/null || echo "warren ended: $(tail -1 "$work/$suite.log")"
	stop
	result=$(grep -E '^[0-9]+ passed' "$W/$suite.out" | tail -1 || true)
	[ "${result%% *}" -ge "${theirs[$suite]}" ] 2>/dev/null || worse=1
	table+=("$(printf '%-14s %-36s RabbitMQ 4.3.6: %s passed' "$suite" "${result:-no result}" "${theirs[$suite]}")")
done
echo; printf '%s\n' "${table[@]}"
exit $worse
