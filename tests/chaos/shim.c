/* Preloaded into the processes of a run: makes the n-th call of a kind fail, or records what reaches the disk.

   SHIM_STATE   a file of two counters, shared by all processes: calls seen, calls that failed
   SHIM_FAULT   roles:kind:n:errno:mode   mode: once, on (all that follow as well), short (half is written)
   SHIM_RECORD  the log of everything that changes the disk (see power.py for its shape)
   SHIM_GIT     set by the wrapper named git: the role of the process
   SHIM_PREFIX  only files below this folder are meant
   SHIM_BOOT    a file that is read in the place of the kernel's boot id
   Roles: 1 coordinator, 2 zygote, 4 worker, 8 git. Kinds: write sync name open (these four: disk) fd spawn start memory
   read remove; merge is a name in a quarantine of a merge. What git writes by stdio is one write, when it is flushed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define ROOM 4200

static int role, roles, failing, log_to = -1;
static char kind_wanted[16], mode[16];
static long wanted;
static volatile _Atomic long *counters;
static const char *prefix, *boot;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void tell(const char *kind, const char *path) {
    static const char *names[] = {"?", "coordinator", "zygote", "?", "worker", "?", "?", "?", "git"};
    char line[ROOM + 100];
    int size = snprintf(line, sizeof line, "%s %s %s\n", names[role], kind, path ? path : "");
    char name[ROOM];
    snprintf(name, sizeof name, "%s.hits", getenv("SHIM_STATE"));
    int out = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out >= 0) { syscall(SYS_write, out, line, size); syscall(SYS_close, out); }
}

static int hidden(const char *kind, const char *path) {
    if (strcmp(kind, "spawn") && path && path[0] == '/' && strncmp(path, "/memfd:", 7)
        && strncmp(path, prefix, strlen(prefix))) return 1; /* such as what python itself reads */
    return path && (strstr(path, "__pycache__") || !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6)
                    || !strncmp(path, "pipe:", 5) || !strncmp(path, "socket:", 7));
}

static int wants(const char *kind, const char *path) {
    if (!strcmp(kind_wanted, "merge")) return !strcmp(kind, "name") && path && strstr(path, "/merge-");
    if (!strcmp(kind_wanted, "disk")) return !!strstr("write sync name open", kind);
    return !strcmp(kind, kind_wanted);
}

/* Whether this call has to fail; errno is set then. */
static int fails(const char *kind, const char *path) {
    if (!counters || !(role & roles) || !wants(kind, path) || hidden(kind, path)) return 0;
    long now = atomic_fetch_add(&counters[0], 1) + 1;
    if (now != wanted && !(now > wanted && !strcmp(mode, "on"))) return 0;
    if (atomic_fetch_add(&counters[1], 1) < 20) tell(kind, path);
    errno = failing;
    return 1;
}

static const char *path_of(int fd, char *room) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, room, ROOM - 1);
    room[size > 0 ? size : 0] = 0;
    return room;
}

static const char *whole(int dir, const char *path, char *room) {
    if (path[0] == '/') return path;
    char above[ROOM];
    if (dir == AT_FDCWD) { if (!getcwd(above, sizeof above)) return path; }
    else path_of(dir, above);
    snprintf(room, ROOM, "%s/%s", above, path);
    return room;
}

/* One record: "R" kind, lengths of two paths and of the data, inode, offset; then all three. */
static void note(char kind, long inode, long at, const char *one, const char *two, const void *data, size_t size) {
    if (log_to < 0) return;
    int before = errno;
    struct { char mark, kind; short role; int one, two; long inode, at, size; } head =
        {'R', kind, role, strlen(one), strlen(two), inode, at, size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)one, head.one}, {(void *)two, head.two}, {(void *)data, size}};
    syscall(SYS_writev, log_to, parts, 4);
    errno = before;
}

static int mine(const char *path) { return log_to >= 0 && !strncmp(path, prefix, strlen(prefix)); }

static void note_content(char kind, int fd) {
    char room[ROOM];
    struct stat about;
    if (log_to < 0 || syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) || !mine(path_of(fd, room))) return;
    if (S_ISDIR(about.st_mode)) { if (kind == 'S') note('D', about.st_ino, 0, room, "", "", 0); return; }
    if (!S_ISREG(about.st_mode)) return;
    /* A descriptor of our own: this one may be for writing only. */
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    char *data = about.st_size && again >= 0 ? mmap(0, about.st_size, PROT_READ, MAP_PRIVATE, again, 0) : 0;
    if (data != MAP_FAILED) note(kind, about.st_ino, 0, room, "", data ? data : "", data ? about.st_size : 0);
    if (data && data != MAP_FAILED) munmap(data, about.st_size);
    if (again >= 0) syscall(SYS_close, again);
}

static int regular(int fd) {
    struct stat about;
    int before = errno, answer = !syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) && S_ISREG(about.st_mode);
    errno = before;
    return answer;
}

static long inode_at(int dir, const char *path) {
    struct stat about;
    return syscall(SYS_newfstatat, dir, path, &about, AT_SYMLINK_NOFOLLOW) ? 0 : (long)about.st_ino;
}

__attribute__((constructor)) static void begin(void) {
    char line[ROOM] = "", *fault = getenv("SHIM_FAULT"), *state = getenv("SHIM_STATE");
    int file = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
    ssize_t size = syscall(SYS_read, file, line, sizeof line - 1);
    syscall(SYS_close, file);
    for (ssize_t i = 0; i < size; i++) if (!line[i]) line[i] = ' ';
    if (getenv("SHIM_GIT")) role = 8;
    else if (strstr(line, "-m rad_engineer.engines.zygote")) role = 2;
    else if (strstr(line, "-m rad_engineer ")) role = 1;
    boot = getenv("SHIM_BOOT");
    prefix = getenv("SHIM_PREFIX") ? getenv("SHIM_PREFIX") : "/";
    char *record = getenv("SHIM_RECORD");
    if (record) { /* the agent is recorded as well: what it writes is not synced either */
        log_to = syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        log_to = syscall(SYS_fcntl, log_to, F_DUPFD_CLOEXEC, 700);
    }
    if (!fault || !state || !role) return;
    sscanf(fault, "%d:%15[^:]:%ld:%d:%15s", &roles, kind_wanted, &wanted, &failing, mode);
    file = syscall(SYS_openat, AT_FDCWD, state, O_RDWR | O_CREAT, 0644);
    syscall(SYS_ftruncate, file, 16);
    void *shared = mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (shared != MAP_FAILED) counters = shared;
    if (role == 8 && fails("start", strchr(line, ' '))) { /* a git call that does not do its work */
        static const char text[] = "fatal: write error: No space left on device\n";
        if (!failing) raise(SIGKILL);
        syscall(SYS_write, 2, text, sizeof text - 1);
        _exit(128);
    }
}

ssize_t write(int fd, const void *data, size_t size) {
    char room[ROOM];
    if ((counters || log_to >= 0) && regular(fd)) {
        if (fails("write", path_of(fd, room))) {
            if (strcmp(mode, "short") || size < 2) return -1;
            size = size / 2;
        }
        ssize_t done = REAL(write)(fd, data, size);
        if (log_to >= 0 && mine(path_of(fd, room))) note_content('W', fd);
        return done;
    }
    ssize_t done = REAL(write)(fd, data, size);
    if (log_to >= 0 && role == 1 && fd == 1 && done > 0) note('A', 0, 0, "", "", data, done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    char room[ROOM];
    if (counters && regular(fd) && fails("write", path_of(fd, room))) return -1;
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    note_content('W', fd);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t read(int fd, void *data, size_t size) {
    char room[ROOM];
    if (counters && regular(fd) && fails("read", path_of(fd, room))) return -1;
    return REAL(read)(fd, data, size);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
    char room[ROOM];
    if (counters && regular(fd) && fails("read", path_of(fd, room))) return -1;
    return REAL(pread64)(fd, data, size, at);
}
ssize_t pread(int fd, void *data, size_t size, off_t at) { return pread64(fd, data, size, at); }
void *mmap64(void *to, size_t size, int rights, int flags, int fd, off64_t at) {
    char room[ROOM];
    if (counters && role == 8 && fd >= 0 && regular(fd) && fails("read", path_of(fd, room))) return MAP_FAILED;
    return REAL(mmap64)(to, size, rights, flags, fd, at);
}

int fsync(int fd) {
    char room[ROOM];
    if (counters && fails("sync", path_of(fd, room))) return -1;
    int done = getenv("SHIM_FAST") ? 0 : REAL(fsync)(fd);
    note_content('S', fd);
    return done;
}
int fdatasync(int fd) { return fsync(fd); }

int ftruncate64(int fd, off64_t size) {
    char room[ROOM];
    if (counters && fails("name", path_of(fd, room))) return -1;
    int done = REAL(ftruncate64)(fd, size);
    note_content('W', fd);
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int renames(int from, const char *old, int to, const char *new, unsigned flags) {
    char one[ROOM], two[ROOM];
    if (fails("name", new)) return -1;
    int done = syscall(SYS_renameat2, from, old, to, new, flags);
    if (!done && log_to >= 0) {
        const char *target = whole(to, new, two);
        if (mine(target)) note('M', inode_at(to, new), 0, whole(from, old, one), target, "", 0);
    }
    return done;
}
int rename(const char *old, const char *new) { return renames(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return renames(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return renames(from, old, to, new, flags);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char one[ROOM], two[ROOM];
    if (fails("name", new)) return -1;
    int done = REAL(linkat)(from, old, to, new, flags);
    if (!done && log_to >= 0) note('L', inode_at(to, new), 0, whole(from, old, one), whole(to, new, two), "", 0);
    return done;
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int dir, const char *path, int flags) {
    char room[ROOM];
    if (fails("remove", path)) return -1;
    int done = REAL(unlinkat)(dir, path, flags);
    if (!done && log_to >= 0) note('U', 0, 0, whole(dir, path, room), "", "", 0);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int dir, const char *path, mode_t rights) {
    char room[ROOM];
    if (fails("name", path)) return -1;
    int done = REAL(mkdirat)(dir, path, rights);
    if (!done && log_to >= 0) note('F', inode_at(dir, path), rights, whole(dir, path, room), "", "", 0);
    return done;
}
int mkdir(const char *path, mode_t rights) { return mkdirat(AT_FDCWD, path, rights); }

int openat64(int dir, const char *path, int flags, ...) {
    char room[ROOM];
    va_list more;
    va_start(more, flags);
    mode_t rights = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (boot && !strcmp(path, "/proc/sys/kernel/random/boot_id")) path = boot;
    if (counters && fails(flags & O_CREAT ? "open" : "fd", path)) return -1;
    long before = log_to >= 0 && (flags & O_CREAT) ? inode_at(dir, path) : 1;
    int fd = syscall(SYS_openat, dir, path, flags, rights);
    if (fd >= 0 && log_to >= 0 && regular(fd)) {
        const char *target = whole(dir, path, room);
        if (!before && mine(target)) note('C', inode_at(dir, path), rights, target, "", "", 0);
        else if (flags & O_TRUNC) note_content('W', fd);
    }
    return fd;
}
#define RIGHTS(flags) ({ va_list more; va_start(more, flags); mode_t r = flags & O_CREAT ? va_arg(more, mode_t) : 0; va_end(more); r; })
int openat(int dir, const char *path, int flags, ...) { return openat64(dir, path, flags, RIGHTS(flags)); }
int open64(const char *path, int flags, ...) { return openat64(AT_FDCWD, path, flags, RIGHTS(flags)); }
int open(const char *path, int flags, ...) { return openat64(AT_FDCWD, path, flags, RIGHTS(flags)); }

FILE *fopen64(const char *path, const char *how) {
    return fails(strchr("wa", how[0]) ? "open" : "fd", path) ? 0 : REAL(fopen64)(path, how);
}
FILE *fopen(const char *path, const char *how) { return fopen64(path, how); }

int close(int fd) {
    if (log_to >= 0) {
        int flags = syscall(SYS_fcntl, fd, F_GETFL);
        if (fd == log_to) return 0;
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && regular(fd)) note_content('W', fd);
    }
    return syscall(SYS_close, fd);
}
/* Whether writing out what is in the buffer fails; it is lost then. */
static int unflushed(FILE *stream) {
    char room[ROOM];
    if (!stream || !counters || !__fpending(stream) || !regular(fileno(stream))) return 0;
    if (!fails("write", path_of(fileno(stream), room))) return 0;
    __fpurge(stream);
    return 1;
}
int fflush(FILE *stream) { return unflushed(stream) ? EOF : REAL(fflush)(stream); }
int fclose(FILE *stream) {
    if (unflushed(stream)) {
        int before = errno;
        REAL(fclose)(stream);
        errno = before;
        return EOF;
    }
    if (log_to >= 0) { fflush(stream); note_content('W', fileno(stream)); }
    return REAL(fclose)(stream);
}

int pipe2(int ends[2], int flags) { return fails("fd", "pipe") ? -1 : REAL(pipe2)(ends, flags); }
int socketpair(int a, int b, int c, int ends[2]) { return fails("fd", "pair") ? -1 : REAL(socketpair)(a, b, c, ends); }
int memfd_create(const char *name, unsigned flags) {
    return fails("fd", "memfd") ? -1 : REAL(memfd_create)(name, flags);
}

pid_t fork(void) {
    if (fails("spawn", "fork")) return -1;
    pid_t pid = REAL(fork)();
    if (!pid && role && role < 4) role *= 2; /* coordinator, zygote, worker */
    return pid;
}
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *b,
                char *const *argv, char *const *env) {
    if (fails("spawn", path)) return errno;
    return REAL(posix_spawn)(pid, path, a, b, argv, env);
}

extern void *__libc_malloc(size_t);
extern void *__libc_realloc(void *, size_t);
void *malloc(size_t size) { return size > 512 && fails("memory", 0) ? 0 : __libc_malloc(size); }
void *realloc(void *old, size_t size) { return size > 512 && fails("memory", 0) ? 0 : __libc_realloc(old, size); }
