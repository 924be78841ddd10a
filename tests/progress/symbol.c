/* SPDX-License-Identifier: MIT */
/* Static functions are in the program's own table of symbols, which dladdr does not know. */
#include "progress/symbol.h"

#include "base/memory.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The program's file in memory; empty if it cannot be read. */
static struct {
    char *bytes;
    size_t size;
    uintptr_t base; /* what addresses in the file are short of */
    bool tried;
} image;

static int note_base(struct dl_phdr_info *info, size_t size, void *ctx) {
    (void)size;
    (void)ctx;
    image.base = info->dlpi_addr;
    return 1; /* the first object is the program */
}

static void load(void) {
    image.tried = true;
    FILE *file = fopen("/proc/self/exe", "rb");
    if (file == NULL) {
        return;
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    rewind(file);
    image.bytes = size > (long)sizeof(Elf64_Ehdr) ? weft_pages_map((size_t)size) : NULL;
    if (image.bytes != NULL && fread(image.bytes, 1, (size_t)size, file) == (size_t)size) {
        image.size = (size_t)size;
    }
    (void)fclose(file);
    (void)dl_iterate_phdr(note_base, NULL);
}

typedef struct symbol {
    const char *name; /* NULL: none is known */
    uintptr_t begin;
} symbol;

static symbol look_in(const Elf64_Shdr *parts, const Elf64_Shdr *table, uintptr_t pc) {
    const Elf64_Sym *symbols = (const void *)(image.bytes + table->sh_offset);
    const char *names = image.bytes + parts[table->sh_link].sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        uintptr_t begin = symbols[i].st_value + image.base;
        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && pc >= begin &&
            pc - begin < symbols[i].st_size) {
            return (symbol){names + symbols[i].st_name, begin};
        }
    }
    return (symbol){NULL, 0};
}

static symbol look_in_program(uintptr_t pc) {
    symbol found = {NULL, 0};
    if (!image.tried) {
        load();
    }
    const Elf64_Ehdr *head = (const void *)image.bytes;
    if (image.size == 0 || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shoff + head->e_shnum * sizeof(Elf64_Shdr) > image.size) {
        return found;
    }
    const Elf64_Shdr *parts = (const void *)(image.bytes + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum && found.name == NULL; i++) {
        if (parts[i].sh_type == SHT_SYMTAB) {
            found = look_in(parts, &parts[i], pc);
        }
    }
    return found;
}

void progress_symbol_name(uintptr_t pc, char *text, size_t capacity) {
    symbol found = look_in_program(pc);
    Dl_info info;
    if (found.name == NULL && dladdr((const void *)pc, &info) != 0) {
        bool named = info.dli_sname != NULL;
        found.name = named ? info.dli_sname : info.dli_fname;
        found.begin = (uintptr_t)(named ? info.dli_saddr : info.dli_fbase);
    }
    if (found.name == NULL) {
        (void)snprintf(text, capacity, "0x%llx", (unsigned long long)pc);
        return;
    }
    (void)snprintf(text, capacity, "%s+0x%llx", found.name, (unsigned long long)(pc - found.begin));
}
