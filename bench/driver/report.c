/* SPDX-License-Identifier: MIT */
/* weft bench report: one HTML page that holds a result and draws it, without any other file.
 *
 * The parts of the page are compiled in. In the template, the name of a part between two at-signs
 * stands for the part; @RESULT@ stands for the result. */
#include "base/exit.h"
#include "bench.h"
#include "result.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".globl " #symbol "\n"                                                                 \
            ".hidden " #symbol "\n" #symbol ":\n"                                                  \
            ".incbin \"" WEFT_BENCH_SOURCE "/report/" file "\"\n"                                  \
            ".globl " #symbol "_end\n"                                                             \
            ".hidden " #symbol "_end\n" #symbol "_end:\n"                                          \
            ".popsection\n");                                                                      \
    extern const char symbol[];                                                                    \
    extern const char symbol##_end[]

EMBED(weft_report_page, "page.html");
EMBED(weft_report_style, "page.css");
EMBED(weft_report_text, "text.js");
EMBED(weft_report_charts, "charts.js");
EMBED(weft_report_verdict, "verdict.js");
EMBED(weft_report_advice, "advice.js");
EMBED(weft_report_sections, "sections.js");
EMBED(weft_report_script, "page.js");

typedef struct part {
    const char *mark;
    const char *begin;
    const char *end;
} part;

/* In a script element a reader of HTML looks for "</script" and "<!--": JSON has "<" in strings
 * only, and there it may be written as an escape. */
static int write_json(FILE *out, const json_t *result) {
    char *text = json_dumps(result, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!text) {
        return -1;
    }
    for (const char *at = text; *at; at++) {
        if (*at == '<') {
            fputs("\\u003c", out);
        } else {
            putc(*at, out);
        }
    }
    free(text);
    return 0;
}

static int write_mark(FILE *out, const char *mark, size_t length, const json_t *result) {
    const part parts[] = {
        {"@STYLE@", weft_report_style, weft_report_style_end},
        {"@TEXT@", weft_report_text, weft_report_text_end},
        {"@CHARTS@", weft_report_charts, weft_report_charts_end},
        {"@VERDICT@", weft_report_verdict, weft_report_verdict_end},
        {"@ADVICE@", weft_report_advice, weft_report_advice_end},
        {"@SECTIONS@", weft_report_sections, weft_report_sections_end},
        {"@SCRIPT@", weft_report_script, weft_report_script_end},
    };
    if (length == strlen("@RESULT@") && memcmp(mark, "@RESULT@", length) == 0) {
        return write_json(out, result);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (length == strlen(parts[i].mark) && memcmp(mark, parts[i].mark, length) == 0) {
            fwrite(parts[i].begin, 1, (size_t)(parts[i].end - parts[i].begin), out);
            return 0;
        }
    }
    fwrite(mark, 1, length, out);
    return 0;
}

static int write_page(FILE *out, const json_t *result) {
    const char *at = weft_report_page;
    while (at < weft_report_page_end) {
        const char *mark = memchr(at, '@', (size_t)(weft_report_page_end - at));
        if (!mark) {
            mark = weft_report_page_end;
        }
        fwrite(at, 1, (size_t)(mark - at), out);
        at = mark;
        if (mark < weft_report_page_end) {
            const char *last = memchr(mark + 1, '@', (size_t)(weft_report_page_end - mark - 1));
            size_t length = last ? (size_t)(last + 1 - mark) : 1;
            if (write_mark(out, mark, length, result) != 0) {
                return -1;
            }
            at += length;
        }
    }
    return 0;
}

int weft_bench_report(const json_t *result, const char *path) {
    FILE *out = fopen(path, "w");
    if (!out) {
        fprintf(stderr, "weft bench report: %s: %s\n", path, strerror(errno));
        return WEFT_EXIT_ENVIRONMENT;
    }
    int failed = write_page(out, result) != 0 || ferror(out);
    failed |= fclose(out) != 0;
    if (failed) {
        fprintf(stderr, "weft bench report: %s: cannot be written whole\n", path);
        return WEFT_EXIT_ENVIRONMENT;
    }
    return WEFT_EXIT_FINE;
}

static const char usage[] = "usage: weft bench report A.json [-o PAGE.html]\n"
                            "\n"
                            "Writes one page, to be opened in a browser, that shows the result "
                            "A.json of 'weft bench --json'\n"
                            "and holds all its data. It needs no other file and no network.\n"
                            "\n"
                            "  -o PAGE.html    where to write it (default: A.html)\n";

static int refuse(const char *what, const char *which) {
    fprintf(stderr, "weft bench report: %s '%s'; see 'weft bench report --help'\n", what, which);
    return WEFT_EXIT_USAGE;
}

static char *page_beside(const char *path) {
    size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".json") == 0) {
        length -= 5;
    }
    char *page = malloc(length + sizeof ".html");
    if (page) {
        memcpy(page, path, length);
        memcpy(page + length, ".html", sizeof ".html");
    }
    return page;
}

static int report_file(const char *path, const char *page) {
    json_t *result = weft_bench_result_read(path);
    char *beside = page ? NULL : page_beside(path);
    int code = WEFT_EXIT_ENVIRONMENT;
    if (result && (page || beside)) {
        code = weft_bench_report(result, page ? page : beside);
    }
    if (code == WEFT_EXIT_FINE) {
        printf("%s\n", page ? page : beside);
    }
    free(beside);
    json_decref(result);
    return code;
}

int weft_bench_report_command(int argc, char **argv) {
    const char *path = NULL;
    const char *page = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("%s", usage);
            return WEFT_EXIT_FINE;
        }
        if (strcmp(argv[i], "-o") == 0) {
            page = ++i < argc ? argv[i] : "";
        } else if (argv[i][0] == '-') {
            return refuse("there is no option", argv[i]);
        } else if (path) {
            return refuse("one result makes one page; there is one more,", argv[i]);
        } else {
            path = argv[i];
        }
    }
    if (!path || (page && !*page)) {
        return refuse("a file is expected behind", argv[argc - 1]);
    }
    return report_file(path, page);
}
