# SPDX-License-Identifier: MIT
# A short front for people; the build itself is CMakeLists.txt.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
RUN_ARGS ?=
CONFIGURE ?=

.PHONY: all run test progress model bench peers tidy docs install uninstall fresh clean

all:
	@scripts/build.sh $(BUILD) -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=OFF \
		-DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CONFIGURE)

run:
	@scripts/packages.sh install build
	@$(MAKE) --no-print-directory all
	exec $(BUILD)/weft serve $(RUN_ARGS)

test:
	@scripts/packages.sh install build test
	@scripts/test.sh

progress:
	@scripts/packages.sh install build test
	@scripts/progress.sh

model:
	@scripts/packages.sh install build test
	@python3 tests/model/model_test.py --deep

bench:
	@scripts/packages.sh install build bench
	@$(MAKE) --no-print-directory all
	@bench/run.sh $(BUILD)

peers:
	@scripts/packages.sh install build
	@$(MAKE) --no-print-directory all
	@scripts/peers.sh $(BUILD)/peers

tidy:
	@scripts/packages.sh install tidy
	@python3 tests/tidy/tidy.py

docs:
	@python3 scripts/gen_docs.py

install: all
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD)

uninstall:
	@scripts/uninstall.sh $(BUILD) "$(DESTDIR)"

fresh:
	@scripts/fresh.sh

clean:
	rm -rf $(BUILD)
