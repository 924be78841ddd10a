/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target once over each file of the folders and files named on the command line. This
 * is how a corpus is replayed where the build has no libFuzzer, and how one crash is replayed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files_run;

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t size = 0;
    size_t room = 1 << 16;
    uint8_t *data = malloc(room);
    for (size_t got = 1; data != NULL && got > 0; size += got) {
        if (size == room) {
            uint8_t *larger = realloc(data, room *= 2);
            if (larger == NULL) {
                free(data);
            }
            data = larger;
        }
        got = data == NULL ? 0 : fread(data + size, 1, room - size, file);
    }
    fclose(file);
    if (data == NULL) {
        fprintf(stderr, "%s: out of memory\n", path);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    files_run++;
    return 0;
}

static int run_folder(const char *path) {
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort);
    int failed = count < 0;
    for (int i = 0; i < count; i++) {
        char *whole = NULL;
        if (names[i]->d_name[0] != '.') {
            failed |= asprintf(&whole, "%s/%s", path, names[i]->d_name) < 0 || run_file(whole);
        }
        free(whole);
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int count, char **arguments) {
    int failed = 0;
    for (int i = 1; i < count; i++) {
        struct stat about;
        if (stat(arguments[i], &about) != 0) {
            perror(arguments[i]);
            failed = 1;
        } else {
            failed |= S_ISDIR(about.st_mode) ? run_folder(arguments[i]) : run_file(arguments[i]);
        }
    }
    printf("%zu inputs\n", files_run);
    return failed != 0 || files_run == 0;
}
