/* Compiled graphs on disk. The stand-in has nothing worth keeping: an entry only proves that this graph was compiled
 * before, which is what makes a second start fast. Entries are whole or absent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npu.h"

enum { PATH_BYTES = NPU_PATH_BYTES + 96, ENTRY_BYTES = 160 };

static void entry_path(char path[PATH_BYTES], const char *folder, const char *hash)
{
    snprintf(path, PATH_BYTES, "%s/%s." NPU_NAME, folder, hash);
}

/* Ends with its own hash, so that a truncated entry is told from a whole one. */
static int entry_text(char text[ENTRY_BYTES], const char *hash, int nodes)
{
    return snprintf(text, ENTRY_BYTES, NPU_NAME " " NPU_VERSION " graph\nnodes %d\nend %s\n", nodes, hash);
}

int npu_cache_has(const char *folder, const char *hash)
{
    char path[PATH_BYTES], text[ENTRY_BYTES] = "", expected[ENTRY_BYTES];
    int nodes;
    entry_path(path, folder, hash);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    const ssize_t bytes = read(file, text, sizeof text - 1);
    close(file);
    if (bytes <= 0 || sscanf(text, NPU_NAME " " NPU_VERSION " graph\nnodes %d", &nodes) != 1)
        return -1;
    entry_text(expected, hash, nodes);
    return strcmp(text, expected) == 0 ? 1 : -1;
}

static int write_entry(const char *path, const char *hash, int nodes)
{
    char text[ENTRY_BYTES];
    const int length = entry_text(text, hash, nodes);
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0)
        return errno;
    errno = ENOSPC; /* for a write that was cut short */
    int error = write(file, text, (size_t)length) == length && fsync(file) == 0 ? 0 : errno;
    if (close(file) != 0 && !error)
        error = errno;
    return error;
}

int npu_cache_store(const char *folder, const char *hash, int nodes)
{
    char path[PATH_BYTES], temporary[PATH_BYTES];
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return errno;
    entry_path(path, folder, hash);
    snprintf(temporary, sizeof temporary, "%s/.tmp-%s-%ld", folder, hash, (long)getpid());
    unlink(temporary); /* of a process with this number that was killed */
    int error = write_entry(temporary, hash, nodes);
    if (!error && rename(temporary, path) != 0)
        error = errno;
    if (error)
        unlink(temporary);
    return error;
}
