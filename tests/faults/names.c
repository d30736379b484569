/* getaddrinfo(), but names under .faulty.test are looked up in files: see names.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* What the file of that name holds; nothing where there is none, or where it is just being written. */
static void read_file(const char *name, char *word, size_t size)
{
    char path[4096];
    const char *directory = getenv("FAULTY_NAMES");
    FILE *file;

    word[0] = '\0';
    snprintf(path, sizeof(path), "%s/%s", directory ? directory : ".", name);
    file = fopen(path, "re");
    if (file) {
        if (!fgets(word, (int)size, file)) {
            word[0] = '\0';
        }
        fclose(file);
    }
    if (!strchr(word, '\n')) {
        word[0] = '\0';
    }
    word[strcspn(word, "\n")] = '\0';
}

/* All addresses in the words, one behind the other. */
static int all(lookup *real, char *words, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    char *rest = NULL;
    struct addrinfo **next = found;
    char *word;

    for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        int error = real(word, service, hints, next);
        if (error) {
            return error;
        }
        while (*next) {
            next = &(*next)->ai_next;
        }
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static const char suffix[] = ".faulty.test";
    const struct timespec pause = { 0, 5000000 };
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *end = name ? strstr(name, suffix) : NULL;
    char word[256];

    if (!end || end[sizeof(suffix) - 1] != '\0') {
        return real(name, service, hints, found);
    }
    for (;;) {
        read_file(name, word, sizeof(word));
        if (!strcmp(word, "fails")) {
            return EAI_NONAME;
        }
        if (word[0] && strcmp(word, "hangs")) {
            return all(real, word, service, hints, found);
        }
        nanosleep(&pause, NULL);
    }
}
