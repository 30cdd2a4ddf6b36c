# Named by builds from an archive, where there is no git; the version stands in the source.
VERSION ?=
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS = -s -w $(if $(VERSION),-X main.version=$(VERSION)) $(if $(COMMIT),-X main.commit=$(COMMIT))

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.8.0

.DEFAULT_GOAL := help
.PHONY: help build test lint bench vuln clean tools format vet

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/acta, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(strip $(LDFLAGS))' -o bin/acta ./cmd/acta

test: tools format vet ## what CI runs: formatting, vet and all tests with the race detector
	go test -race -timeout 20m ./...

lint: format vet ## formatting, vet and staticcheck
	go run $(STATICCHECK) ./...

bench: ## measure a running server
	go run ./e2e/bench

vuln: ## known vulnerabilities in what we import
	go run $(GOVULNCHECK) ./...

clean: ## remove what build made
	rm -rf bin

format:
	@files=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +); \
	[ -z "$$files" ] || { echo "not formatted, run gofmt -w:" $$files; exit 1; }

vet:
	go vet ./...

# The race detector needs a C compiler; the end-to-end stories need Node for the official client libraries, a browser,
# and strace to make the disk fail; the read models are tested on both their databases.
tools:
	@command -v go >/dev/null || { echo "missing: go, see https://go.dev/dl"; exit 1; }
	@missing=; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "missing (names of Debian packages):$$missing"; exit 1; \
	fi
