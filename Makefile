# Targets that others rely on. Each installs what it needs; a second run starts in seconds.
SHELL := /bin/sh
OBJECT := packages/bpf/dist/mirror.bpf.o
CONSOLE := packages/console/dist/index.html

help:
	@echo "make demo        a lab cluster with one policy of each type, and a live table (ONCE=1: one row each, then exit)"
	@echo "make test        every test; 'make test PARTS=unit' or service, kernel, product"
	@echo "make test-long   the tests that take longer than those of make test may: a quarter of an hour"
	@echo "make soak        the tests of restarts with a hundred kills each, and 200 moves: half an hour (KILLS=, MOVES=, SEED=)"
	@echo "make fuzz        bad input for ten minutes: packets, requests, messages, files (SEED=, MINUTES=, ONLY=api|agents, CASE=)"
	@echo "make faults      clients work while etcd, controller, network and disk fail; what they saw is judged (SEED=, MINUTES=, KIND=etcd|several|file, ONLY=)"
	@echo "make chaos       random changes and faults under traffic; 'make chaos SEED=7 MINUTES=10' (ROUNDS=, ONLY=)"
	@echo "make simulate    the cluster in one process by virtual time, thousands of schedules (SEED=, RUNS=, SECONDS=)"
	@echo "make simulate-mutations plants faults, and sees that the simulation finds each (ONLY=, SEED=, RUNS=)"
	@echo "make failover    three controllers over etcd, and the leader is killed again and again (KILLS=50)"
	@echo "make kernels     other kernels and compilers, in QEMU: the object loads, kernel tests pass (KERNELS=, COMPILERS=, TESTS=)"
	@echo "make check       format, lint, types, the API document, and the structure of the tree"
	@echo "make bench       ratios side by side, also in bench/out/latest.jsonl"
	@echo "make scale       a controller with simulated agents: 'make scale NODES=\"10 100\"' (LOAD=, REST=, PROFILE=, FLAGS=), see docs/scale.md"
	@echo "make scale-parts what parts of the controller cost, each alone: 'make scale-parts NODES=1000' (RUNS=, SNAPSHOT=)"
	@echo "make bench-console what the console costs a browser and the controller, with 100 policies of 1,024 sources"
	@echo "make up          controller and agent for this host"
	@echo "make packages    Debian packages for amd64 and arm64, into dist/ (RPM=1: RPMs too; VERSION=)"
	@echo "make sbom        lists of what the packages contain, for machines (CycloneDX), into dist/"
	@echo "make audit       known faults of the npm packages, as the registry tells them"
	@echo "make release     packages, and their checksums signed with your key of OpenSSH (KEY=, VERSION=, RPM=1)"
	@echo "make packages-test  packages on a fresh Debian: install, copy, upgrade, purge"
	@echo "make build       the data plane and the console"
	@echo "make console     the console alone"
	@echo "make screenshots every page of the console, light and dark, into docs/img"
	@echo "make deps        installs what is missing on this machine; make deps-run: only what is needed to run"
	@echo "make clean       removes what was built"

deps:
	@scripts/deps.sh test

deps-run:
	@scripts/deps.sh run

$(OBJECT): $(wildcard packages/bpf/src/*) packages/bpf/Makefile
	@$(MAKE) -s -C packages/bpf

$(CONSOLE): $(shell find packages/console packages/planner/src packages/contract/src -type f -not -path '*/dist/*' \
  -not -path '*/node_modules/*' -not -name schema.d.ts) docs/reference/openapi.json package-lock.json
	@scripts/console.sh

console: deps-run
	@$(MAKE) -s $(CONSOLE)

build: deps
	@$(MAKE) -s $(OBJECT) $(CONSOLE)

check: deps
	@scripts/check.sh

test: build check root
	@scripts/test.sh $(PARTS)

test-long: build root
	@scripts/test.sh long

soak: build root
	@scripts/soak.sh

fuzz: build root
	@[ -n "$(ONLY)" ] || FUZZ_PACKETS=1000000 unshare -n scripts/run.sh --test packages/bpf/test/terminate.netns.test.ts
	@[ -n "$(ONLY)" ] || FUZZ_RUNS=20000 scripts/run.sh --test packages/cli/test/bad-files.test.ts
	@scripts/run.sh test/fuzz/main.ts

failover: build root
	@KILLS=$(or $(KILLS),50) scripts/run.sh --test test/failover.test.ts

chaos: build root
	@scripts/run.sh test/chaos/main.ts

faults: deps root
	@scripts/run.sh test/faults/main.ts

simulate: deps
	@scripts/run.sh test/simulation/main.ts

simulate-mutations: deps
	@scripts/run.sh test/simulation/mutations-main.ts

kernels: build root
	@scripts/kernels.sh matrix $(if $(KERNELS),--kernels "$(KERNELS)") $(if $(COMPILERS),--compilers "$(COMPILERS)") \
	  $(if $(TESTS),--tests "$(TESTS)") $(if $(TESTED),--tested "$(TESTED)")

packages: build
	@scripts/run.sh packaging/main.ts $(if $(VERSION),--version $(VERSION)) $(if $(RPM),--rpm)

packages-test: build root
	@scripts/run.sh --test test/packages/install.test.ts

sbom: build
	@scripts/run.sh packaging/main.ts --sbom $(if $(VERSION),--version $(VERSION))

audit: deps
	@scripts/audit.sh

release:
	@[ -n "$(KEY)" ] || { echo "name the file of your key of OpenSSH: make release KEY=FILE" >&2; exit 2; }
	@rm -rf dist
	@$(MAKE) -s packages
	@scripts/run.sh packaging/release.ts --key "$(KEY)"

demo: build root
	@scripts/run.sh packages/lab/src/demo/main.ts $(if $(ONCE),--once)

bench: build root
	@scripts/run.sh bench/main.ts $(BENCH)

scale: build
	@scripts/run.sh bench/scale/main.ts $(or $(NODES),10 100 1000)

scale-parts: deps
	@scripts/run.sh --expose-gc --max-old-space-size=8192 bench/parts/main.ts $(NODES)

bench-console: build
	@scripts/run.sh test/console/bench.ts

screenshots: build root
	@scripts/run.sh test/console/screenshots.ts

up: deps-run root
	@$(MAKE) -s $(OBJECT) $(CONSOLE)
	@bin/mirrorplane up

root:
	@[ "$$(id -u)" = 0 ] || { echo "this needs root: network namespaces and eBPF programs are made" >&2; exit 1; }

clean:
	@$(MAKE) -s -C packages/bpf clean
	rm -rf bench/out test/kernels/out packages/console/dist

.PHONY: help deps deps-run console build screenshots check test test-long soak fuzz faults chaos simulate simulate-mutations failover kernels packages packages-test sbom audit release demo bench scale scale-parts bench-console up root clean
