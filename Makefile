# SPDX-License-Identifier: BSD-2-Clause
# The front door.  CMake does the work; `cmake --list-presets` shows the other kinds of build.
PREFIX ?= /usr/local
SECONDS_EACH ?= 60
JOBS ?= $(shell nproc)

help:     ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile
deps:     ## install every Debian package that any target needs
	@scripts/deps all
demo:     ## build, then watch connections with the kernel live and die
	@scripts/deps demo && scripts/build release && build/release/estab demo
test:     ## build with assertions and warnings as errors, then run every test
	@scripts/deps test && scripts/build test && ctest --test-dir build/test --output-on-failure --output-junit junit.xml -j$(JOBS)
bench:    ## measure, beside lwIP and the kernel in the same run (ten minutes); writes bench/results.json
	@scripts/deps bench && scripts/build bench && bench/run build/bench
fuzz:     ## run each fuzz target for SECONDS_EACH (60)
	@scripts/deps test lint && scripts/build fuzz && scripts/fuzz build/fuzz $(SECONDS_EACH)
check:    ## format, lint, layers, headers, symbols, manual pages
	@scripts/deps test lint && scripts/build test && scripts/check build/test
format:   ## rewrite every C file in the house's style
	@scripts/deps lint && git ls-files '*.[ch]' | xargs clang-format -i
install:  ## program, libraries, headers, manual pages, to PREFIX (/usr/local)
	@scripts/deps demo && scripts/build release && cmake --install build/release --prefix $(PREFIX)
package:  ## a .deb in build/release
	@scripts/deps demo && scripts/build release && cd build/release && cpack
clean:    ## remove build/
	@rm -rf build
.PHONY: help deps demo test bench fuzz check format install package clean
