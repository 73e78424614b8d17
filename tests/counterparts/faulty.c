/* Stands between a program and its operating system (LD_PRELOAD): counts the calls that touch files, and at one of them kills the
   process or lets the call fail. It keeps beside each file what a disk would hold of it after a power cut: its content at its last fsync.

   FAULTY_ROLE    worker | supervisor: whose calls are meant; the other's are left alone
   FAULTY_CALLS   all, or names joined by commas: which calls count
   FAULTY_AT      the number of the call, from 1, at which it happens; 0 or none: never
   FAULTY_HOW     kill | EIO | ENOSPC | EINTR | short: what happens; errors meet regular files only
   FAULTY_COUNT   a file that gets the number of counted calls at the process's end
   FAULTY_DISK    a folder that gets what would survive a power cut; files below FAULTY_ROOT only
   FAULTY_LIES    set: a disk whose fsync does nothing
   FAULTY_MARK    a file that is made when it happened */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long counted;
static long fault_at;
static int is_meant, is_kill, is_short, is_liar, error_code;
static const char *calls, *count_file, *disk, *root, *mark;

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

__attribute__((constructor)) static void begin(void) {
    char line[512] = {0};
    int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    long length = syscall(SYS_read, file, line, sizeof line - 1);
    syscall(SYS_close, file);
    if (length < 0) length = 0;
    const char *first = line + strlen(line) + 1;
    const char *name = strrchr(line, '/') ? strrchr(line, '/') + 1 : line;
    int is_worker = first < line + length && strcmp(first, "load") == 0;
    const char *role = setting("FAULTY_ROLE");
    is_meant = role && strcmp(name, "etlsched") == 0 && is_worker == (strcmp(role, "worker") == 0);
    calls = setting("FAULTY_CALLS");
    fault_at = setting("FAULTY_AT") ? atol(setting("FAULTY_AT")) : 0;
    count_file = setting("FAULTY_COUNT");
    disk = setting("FAULTY_DISK");
    root = setting("FAULTY_ROOT");
    mark = setting("FAULTY_MARK");
    is_liar = setting("FAULTY_LIES") != NULL;
    const char *how = setting("FAULTY_HOW");
    is_kill = how && strcmp(how, "kill") == 0;
    is_short = how && strcmp(how, "short") == 0;
    error_code = !how ? 0 : strcmp(how, "EIO") == 0 ? EIO : strcmp(how, "ENOSPC") == 0 ? ENOSPC : strcmp(how, "EINTR") == 0 ? EINTR : 0;
}

static void note(const char *path, long number) {
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", number);
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    syscall(SYS_write, file, text, (size_t)length);
    syscall(SYS_close, file);
}

__attribute__((destructor)) static void end(void) {
    if (is_meant && count_file) note(count_file, atomic_load(&counted));
}

static int is_listed(const char *name) {
    if (!calls) return 0;
    if (strcmp(calls, "all") == 0) return 1;
    size_t length = strlen(name);
    for (const char *at = strstr(calls, name); at; at = strstr(at + 1, name))
        if ((at == calls || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
    return 0;
}

static int is_regular(int file) {
    struct stat found;
    return syscall(SYS_fstat, file, &found) == 0 && S_ISREG(found.st_mode);
}

/* Counts a call; returns the error that it is to fail with, -1 where it is to do half of its work, else 0. `file` is -1 for paths. */
static int fault(const char *name, int file) {
    if (!is_meant || !is_listed(name)) return 0;
    if (!is_kill && file >= 0 && !is_regular(file)) return 0;
    long number = atomic_fetch_add(&counted, 1) + 1;
    if (number != fault_at) return 0;
    if (mark) note(mark, number);
    if (is_kill) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) syscall(SYS_pause);
    }
    return is_short ? -1 : error_code;
}

#define REAL(type, name, ...)                                                                                                            \
    static type (*real)(__VA_ARGS__);                                                                                                    \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAILS(name, file)                                                                                                                \
    int code = fault(name, file);                                                                                                        \
    if (code > 0) {                                                                                                                      \
        errno = code;                                                                                                                    \
        return -1;                                                                                                                       \
    }

/* What the disk holds: a file's name there is its path with # for /. */
static int disk_name(const char *path, char *name) {
    if (!disk || !root || strncmp(path, root, strlen(root)) != 0) return 0;
    int length = snprintf(name, PATH_MAX, "%s/", disk);
    for (const char *at = path + strlen(root); *at && length < PATH_MAX - 1; at++) name[length++] = *at == '/' ? '#' : *at;
    name[length] = 0;
    return 1;
}

static void keep(int file) {
    char link[64], path[PATH_MAX], name[PATH_MAX], fresh[PATH_MAX + 8], *buffer;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    long length = syscall(SYS_readlink, link, path, sizeof path - 1);
    if (length <= 0 || !is_regular(file)) return;
    path[length] = 0;
    if (!disk_name(path, name)) return;
    snprintf(fresh, sizeof fresh, "%s.%ld", name, syscall(SYS_gettid));
    int copy = (int)syscall(SYS_openat, AT_FDCWD, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int again = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    buffer = malloc(1 << 16);
    long got;
    while (again >= 0 && (got = syscall(SYS_read, again, buffer, 1 << 16)) > 0) syscall(SYS_write, copy, buffer, (size_t)got);
    free(buffer);
    syscall(SYS_close, again);
    syscall(SYS_close, copy);
    syscall(SYS_rename, fresh, name);
}

static void absolute(const char *path, char *whole) {
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
        return;
    }
    char folder[PATH_MAX];
    if (syscall(SYS_getcwd, folder, sizeof folder) <= 0) folder[0] = 0;
    snprintf(whole, PATH_MAX, "%.2000s/%.2000s", folder, path);
}

static void forget(const char *path) {
    char whole[PATH_MAX], name[PATH_MAX];
    absolute(path, whole);
    if (disk_name(whole, name)) syscall(SYS_unlink, name);
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    FAILS("open", -1);
    return real(path, flags, mode);
}

#define OPEN(name)                                                                                                                       \
    int name(const char *path, int flags, ...) {                                                                                         \
        va_list rest;                                                                                                                    \
        va_start(rest, flags);                                                                                                           \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                                          \
        va_end(rest);                                                                                                                    \
        REAL(int, #name, const char *, int, ...);                                                                                        \
        return opened(real, path, flags, mode);                                                                                          \
    }
OPEN(open)
OPEN(open64)

int openat64(int folder, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    REAL(int, "openat64", int, const char *, int, ...);
    FAILS("open", -1);
    return real(folder, path, flags, mode);
}

ssize_t read(int file, void *bytes, size_t length) {
    REAL(ssize_t, "read", int, void *, size_t);
    FAILS("read", file);
    return real(file, bytes, code < 0 && length > 1 ? length / 2 : length);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t from) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    FAILS("pread", file);
    return real(file, bytes, code < 0 && length > 1 ? length / 2 : length, from);
}

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    FAILS("write", file);
    return real(file, bytes, code < 0 && length > 1 ? length / 2 : length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    FAILS("write", file);
    return real(file, parts, code < 0 && count > 1 ? 1 : count);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t to) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    FAILS("pwrite", file);
    return real(file, bytes, code < 0 && length > 1 ? length / 2 : length, to);
}

int fsync(int file) {
    REAL(int, "fsync", int);
    FAILS("fsync", file);
    int done = real(file);
    if (done == 0 && !is_liar) keep(file);
    return done;
}

int fdatasync(int file) {
    REAL(int, "fdatasync", int);
    FAILS("fsync", file);
    int done = real(file);
    if (done == 0 && !is_liar) keep(file);
    return done;
}

int ftruncate64(int file, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    FAILS("ftruncate", file);
    return real(file, length);
}

int flock(int file, int operation) {
    REAL(int, "flock", int, int);
    FAILS("lock", file);
    return real(file, operation);
}

#define LOCK(name)                                                                                                                       \
    int name(int file, int command, ...) {                                                                                               \
        va_list rest;                                                                                                                    \
        va_start(rest, command);                                                                                                         \
        void *argument = va_arg(rest, void *);                                                                                           \
        va_end(rest);                                                                                                                    \
        REAL(int, #name, int, int, ...);                                                                                                 \
        if (command == F_SETLK || command == F_SETLKW || command == F_GETLK) {                                                           \
            FAILS("lock", file);                                                                                                         \
        }                                                                                                                                \
        return real(file, command, argument);                                                                                            \
    }
LOCK(fcntl)
LOCK(fcntl64)

void *mmap64(void *at, size_t length, int protection, int flags, int file, off64_t from) {
    REAL(void *, "mmap64", void *, size_t, int, int, int, off64_t);
    if (file >= 0) {
        int code = fault("mmap", file);
        if (code > 0) {
            errno = code == EINTR ? EAGAIN : code;
            return MAP_FAILED;
        }
    }
    return real(at, length, protection, flags, file, from);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    FAILS("rename", -1);
    int done = real(from, to);
    if (done == 0) {
        char whole[PATH_MAX], old[PATH_MAX], fresh[PATH_MAX];
        absolute(from, whole);
        int is_kept = disk_name(whole, old);
        absolute(to, whole);
        if (is_kept && disk_name(whole, fresh)) syscall(SYS_rename, old, fresh);
    }
    return done;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    FAILS("rename", -1);
    int done = real(from_folder, from, to_folder, to, flags);
    if (done == 0) {
        int file = (int)syscall(SYS_openat, to_folder, to, O_RDONLY | O_CLOEXEC);
        if (file >= 0) keep(file);
        syscall(SYS_close, file);
    }
    return done;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    FAILS("unlink", -1);
    int done = real(path);
    if (done == 0) forget(path);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    FAILS("mkdir", -1);
    return real(path, mode);
}

ssize_t send(int file, const void *bytes, size_t length, int flags) {
    REAL(ssize_t, "send", int, const void *, size_t, int);
    FAILS("send", file);
    return real(file, bytes, length, flags);
}

ssize_t recv(int file, void *bytes, size_t length, int flags) {
    REAL(ssize_t, "recv", int, void *, size_t, int);
    FAILS("recv", file);
    return real(file, bytes, length, flags);
}
