# make            lists the targets
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PACKAGE ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null || echo 0.0.0)
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
INSIDE   = $$($(GO) list ./... | grep -v -e /test/crash -e /internal/bench)
NFPM    := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/warren, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -pgo=cmd/warren/warren.pgo -ldflags "-s -w -X main.version=$(VERSION)" -o bin/warren ./cmd/warren

package: build ## deb and rpm packages in bin/package
	mkdir -p bin/package/man
	./bin/warren man bin/package/man >/dev/null
	./bin/warren completion bash > bin/package/warren.bash
	./bin/warren completion zsh > bin/package/_warren
	./bin/warren completion fish > bin/package/warren.fish
	for p in deb rpm; do VERSION=$(PACKAGE) GOARCH=$$($(GO) env GOARCH) $(GO) run $(NFPM) package -f dist/nfpm.yaml -p $$p -t bin/package || exit 1; done

run: build ## a broker on ./data with a demo tenant
	./bin/warren serve --data data --demo

check: fmt vet lint generate race ## all that must pass before a commit lands

fmt: ## formatted as gofumpt wants it
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }

vet:
	$(GO) vet ./...

lint: ## golangci-lint with .golangci.yml
	$(GO) run $(LINT) run ./...

generate: ## generated code is up to date
	$(GO) generate ./... && git diff --exit-code -- amqp doc/reference

test: deps package ## what the tests need, then every test
	WARREN_TEST_DEPS=1 $(GO) test -race -tags invariants $(INSIDE)
	$(GO) test -run '^TestSimulation$$' ./internal/journal
	WARREN_TEST_DEPS=1 $(GO) test -p 1 -short ./internal/bench ./test/crash

deps: ## Debian packages that the tests drive the broker with
	test/deps.sh

race: ## unit and integration tests under the race detector
	$(GO) test -race -tags invariants $(INSIDE)

fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	test/fuzz.sh

seeds: ## a million simulated crashes of the journal (about half an hour)
	COUNT=1000000 $(GO) test -count 1 -v -timeout 3h -run '^TestSimulation$$' ./internal/journal

crash: deps ## kill, fault and unplug the real process, at release size (about an hour)
	CYCLES=200 POINTS=200 SYNCS=50 WARREN_TEST_DEPS=1 $(GO) test -count 1 -v -timeout 3h ./test/crash

conformance: ## other people's suites against Warren, beside RabbitMQ's own counts (about 5 minutes; CONFORMANCE=directory)
	test/conformance/run.sh

.PHONY: help build package run check fmt vet lint generate test deps race fuzz seeds crash conformance
