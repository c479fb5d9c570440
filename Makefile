# Rolecall. `make` alone says what there is to do. Needs Go and Node; everything else fetches itself.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# --- What may be set -------------------------------------------------------------------------------------------------

FUZZTIME ?= 10s
CDK_ARGS ?=
ROLECALL_AWS_PORT ?= 4566
TEST_ARGS ?=
ARGS ?=
NUMBER ?= 1

# --- What follows from the checkout ----------------------------------------------------------------------------------

FUNCTIONS := $(patsubst functions/%/main.go,%,$(wildcard functions/*/main.go))
LAMBDA    := $(FUNCTIONS:%=build/lambda/%/bootstrap)
LAPTOP    := $(FUNCTIONS:%=build/laptop/%/bootstrap)
BENCH     := $(FUNCTIONS:%=build/bench/%/bootstrap) build/bench/minimal/bootstrap

WEB_SOURCES := $(shell find web/src web/public -type f ! -name schema.d.ts) web/index.html web/build.mjs web/tsconfig.json web/package.json shared/httpapi/openapi.json

CDK  := npx --yes aws-cdk@2.1148.1
TOOL := go tool -modfile=tools.mod

# The same source makes the same bytes, wherever and whenever: no paths, no version control stamps, no C.
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w"

# The race detector needs a C compiler; Go says whether there is one.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# Packages run three at a time, for that of the laptop mostly waits, and each from scratch: what they test includes the
# built functions, which Go's cache of test results does not know. The CDK app goes without the race detector: it has no
# goroutines, and CDK takes minutes to build. The browser's tests measure times, so they run alone and without the race
# detector; -v shows each of them, and how many have passed.
GOTEST = go test -count=1 -p 3 -timeout 20m $(TEST_ARGS)
define run-tests
	others=$$(go list ./... | grep -vxE 'rolecall/(infra|web)'); failed=0; \
	  $(GOTEST) ./infra || failed=1; \
	  $(GOTEST) $(RACE) $$others || failed=1; \
	  $(GOTEST) ./web -v || failed=1; \
	  exit $$failed
endef

.PHONY: help dev test test-long lint fmt republish webhook-secret build build-laptop synth diff deploy invoke fuzz mutants bench clean check-tidy web test-web FORCE

help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- Run -------------------------------------------------------------------------------------------------------------

dev: ## Run Rolecall and a pocket AWS on this machine: http://localhost:8080, AWS endpoint on :4566
	@# The laptop target builds the functions and synthesises the CDK app itself; the console is built here, if it has changed.
	@$(MAKE) --no-print-directory web
	@# Built and exec'd, not `go run`: then Ctrl-C and kill reach the program itself, which ends what it started.
	@go build -buildvcs=false -o build/pocket ./infra/local
	@exec build/pocket

invoke: ## Invoke a function of the running `make dev`: make invoke FN=callback EVENT=events/samples/….json
	@test -n "$(FN)" -a -n "$(EVENT)" || { echo "usage: make invoke FN=<function> EVENT=<file>, functions: $(FUNCTIONS)" >&2; exit 2; }
	@go run ./infra/local/invoke -endpoint "http://127.0.0.1:$(ROLECALL_AWS_PORT)" -function "$(FN)" -event "$(EVENT)"

republish: ## Put events on the bus again: what could not be delivered, or the table's; ARGS="-help" tells how
	@go run ./infra/republish $(ARGS)

webhook-secret: ## Show the secret that signs webhooks; NUMBER=2 for the second
	@go run ./infra/secret -number $(NUMBER)

# --- Check -----------------------------------------------------------------------------------------------------------

test: check-tidy ## Run all tests, under the race detector where there is a C compiler
	@$(if $(RACE),,echo "no C compiler: testing without the race detector")
	$(run-tests)

test-long: TEST_ARGS += -timeout 4h
test-long: export ROLECALL_LONG = 1
test-long: export RAPID_CHECKS = 2000
test-long: ## The same with 20 times the property sequences, and the tests that take long
	$(run-tests)

test-web: ## Run the console's and the widget's tests alone, in a browser; screenshots go to web/screenshots
	$(GOTEST) ./web -v

check-tidy:
	go mod tidy -diff

lint: ## Check style, import rules and dead code
	$(TOOL) golangci-lint run ./...
	$(TOOL) golangci-lint run --build-tags laptop,lambda.norpc ./functions/... ./shared/...
	@dead=$$($(TOOL) deadcode -test -tags laptop,lambda.norpc ./functions/... ./shared/... ./infra/local/... ./templates/... ./cmd/...); \
	  if [ -n "$$dead" ]; then printf 'nothing reaches these:\n%s\n' "$$dead" >&2; exit 1; fi

fmt: ## Format the Go code
	$(TOOL) gofumpt -l -w .

fuzz: ## Fuzz every target for FUZZTIME (10s); crashers stay in testdata/fuzz
	@grep -rHoE --include='*_test.go' --exclude-dir=node_modules --exclude-dir=cdk.out '^func Fuzz[A-Za-z0-9_]+' . | \
	  sed -E 's,^(.*)/[^/]+:func (Fuzz.*)$$,\1 \2,' | sort | while read -r dir name; do \
	    echo "== $$dir $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null; \
	  done

mutants: ## Take each defence away and watch the test that is named for it fail
	ROLECALL_LONG=1 go test -count=1 -timeout 3h -run '^TestMutantsDie$$' -v ./infra/mutants

bench: build $(BENCH) ## Measure cold starts and sizes of the functions, and run the Go benchmarks
	@dirs=$$(grep -rlE --include='*_test.go' --exclude-dir=node_modules --exclude-dir=build '^func Benchmark' . | xargs -r -n1 dirname | sort -u); \
	  go run ./infra/local/bench -host build/bench -deployed build/lambda $$dirs
	@# What a million connections take, and cost a month, on a virtual clock.
	@ROLECALL_LONG=1 go test -count=1 -run '^TestAMillionDue$$' -v ./shared/app

# --- Build and deploy ------------------------------------------------------------------------------------------------

build: $(LAMBDA) ## Build every function for AWS Lambda (linux, arm64) into build/lambda

web: build/web/index.html ## Build the console and the widget into build/web
	@:

# npm's own mark of what it has installed is as old as the installation.
build/web/index.html: $(WEB_SOURCES) web/node_modules/.package-lock.json
	@cd web && node build.mjs ../build/web

web/node_modules/.package-lock.json: web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build-laptop: $(LAPTOP) ## Build every function for this machine into build/laptop

# Go knows best what is out of date; what is not, it does not link again.
$(LAMBDA): build/lambda/%/bootstrap: FORCE
	@GOOS=linux GOARCH=arm64 $(GOBUILD) -tags lambda.norpc -o $@ ./functions/$*

$(LAPTOP): build/laptop/%/bootstrap: FORCE
	@$(GOBUILD) -tags lambda.norpc,laptop -o $@ ./functions/$*

# As deployed but for the architecture, and a function that does nothing to compare with.
$(filter-out %/minimal/bootstrap,$(BENCH)): build/bench/%/bootstrap: FORCE
	@$(GOBUILD) -tags lambda.norpc -o $@ ./functions/$*

build/bench/minimal/bootstrap: FORCE
	@$(GOBUILD) -tags lambda.norpc -o $@ ./infra/local/bench/minimal

synth: build web ## Synthesise the CloudFormation templates into cdk.out
	CDK_OUTDIR=cdk.out go run ./infra
	@ls cdk.out/*.template.json

diff: build web ## Show what a deployment would change; CDK_ARGS goes to the CDK CLI
	$(CDK) diff $(CDK_ARGS)

deploy: build web ## Deploy to AWS with the credentials at hand; CDK_ARGS goes to the CDK CLI
	$(CDK) deploy --all $(CDK_ARGS)

clean: ## Remove what was built
	rm -rf build cdk.out dist
