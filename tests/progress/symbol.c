/* SPDX-License-Identifier: MIT */
/* Static functions are in the program's own table of symbols, which dladdr does not know. */
#include "progress/symbol.h"

#include "base/memory.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
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

static bool look_in(const Elf64_Shdr *parts, const Elf64_Shdr *table, uintptr_t pc,
                    const char **name, uintptr_t *begin) {
    const Elf64_Sym *symbols = (const void *)(image.bytes + table->sh_offset);
    const char *names = image.bytes + parts[table->sh_link].sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        *begin = symbol->st_value + image.base;
        if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && pc >= *begin &&
            pc - *begin < symbol->st_size) {
            *name = names + symbol->st_name;
            return true;
        }
    }
    return false;
}

static bool look_in_program(uintptr_t pc, const char **name, uintptr_t *begin) {
    if (!image.tried) {
        load();
    }
    const Elf64_Ehdr *head = (const void *)image.bytes;
    if (image.size == 0 || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shoff + head->e_shnum * sizeof(Elf64_Shdr) > image.size) {
        return false;
    }
    const Elf64_Shdr *parts = (const void *)(image.bytes + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++) {
        if (parts[i].sh_type == SHT_SYMTAB && look_in(parts, &parts[i], pc, name, begin)) {
            return true;
        }
    }
    return false;
}

void progress_symbol_name(uintptr_t pc, char *text, size_t capacity) {
    const char *name = NULL;
    uintptr_t begin = 0;
    Dl_info info;
    if (!look_in_program(pc, &name, &begin) && dladdr((const void *)pc, &info) != 0) {
        name = info.dli_sname != NULL ? info.dli_sname : info.dli_fname;
        begin = (uintptr_t)(info.dli_sname != NULL ? info.dli_saddr : info.dli_fbase);
    }
    if (name == NULL) {
        (void)snprintf(text, capacity, "0x%llx", (unsigned long long)pc);
        return;
    }
    (void)snprintf(text, capacity, "%s+0x%llx", name, (unsigned long long)(pc - begin));
}
