# Each command installs what it needs by itself, into ~/.cache/clouddp; nothing needs root.
PYTHON ?= python3
SANDBOX = @$(PYTHON) -m sandbox

.DEFAULT_GOAL := help
.PHONY: help up preview down env dashboard test lint format bench requirements

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## deploy the dev stack to the sandbox on this machine; again: changes nothing
	$(SANDBOX) up

preview: ## show what `make up` would change
	$(SANDBOX) preview

down: ## destroy what `make up` deployed, and stop what it started
	$(SANDBOX) down

env: ## print exports for plain pulumi commands: eval "$$(make -s env)"
	$(SANDBOX) env

dashboard: ## draw use against quotas, health and alerts of the sandbox, and print where the page is
	$(SANDBOX) dashboard

test: ## check style and types, and run all tests
	$(SANDBOX) test

lint: ## check style, format and types only
	$(SANDBOX) lint

format: ## format the code
	$(SANDBOX) format

bench: ## measure, side by side with the same resources written plainly
	$(SANDBOX) bench

requirements: ## pin the requirements anew, from the *.in files
	$(SANDBOX) requirements
