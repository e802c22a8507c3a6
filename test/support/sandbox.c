/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX SANDBOX_CALLS_MAX

/* There are no filters on 32-bit machines, which have neither of these. */
#ifndef __LP64__
#undef SYS_mmap
#define SYS_mmap (-1)
#define SYS_newfstatat (-1)
#endif

/* 64-bit machines have all of these; only x86-64 has the second group. */
#define CALL(name)        \
    {                     \
#name, SYS_##name \
    }
static const struct {
    const char *name;
    int number;
} calls[] = {
    CALL(brk),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(clone),
    CALL(clone3),
    CALL(close),
    CALL(dup),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(eventfd2),
    CALL(execve),
    CALL(exit),
    CALL(exit_group),
    CALL(faccessat),
    CALL(fallocate),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(fstat),
    CALL(fsync),
    CALL(ftruncate),
    CALL(futex),
    CALL(getcpu),
    CALL(getegid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getpgid),
    CALL(getpid),
    CALL(getppid),
    CALL(getrandom),
    CALL(gettid),
    CALL(getuid),
    CALL(io_destroy),
    CALL(io_getevents),
    CALL(io_setup),
    CALL(io_submit),
    CALL(io_uring_enter),
    CALL(io_uring_register),
    CALL(io_uring_setup),
    CALL(ioctl),
    CALL(kill),
    CALL(lseek),
    CALL(madvise),
    CALL(mmap),
    CALL(mprotect),
    CALL(mremap),
    CALL(munmap),
    CALL(nanosleep),
    CALL(newfstatat),
    CALL(openat),
    CALL(pipe2),
    CALL(ppoll),
    CALL(prctl),
    CALL(pread64),
    CALL(preadv),
    CALL(preadv2),
    CALL(prlimit64),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(pwritev2),
    CALL(read),
    CALL(readlinkat),
    CALL(restart_syscall),
    CALL(rseq),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sched_getaffinity),
    CALL(sched_setaffinity),
    CALL(sched_yield),
    CALL(set_robust_list),
    CALL(set_tid_address),
    CALL(setitimer),
    CALL(setpgid),
    CALL(setresuid),
    CALL(sigaltstack),
    CALL(statx),
    CALL(tgkill),
    CALL(timer_create),
    CALL(timer_delete),
    CALL(timer_settime),
    CALL(umask),
    CALL(uname),
    CALL(unlinkat),
    CALL(userfaultfd),
    CALL(wait4),
    CALL(write),
    CALL(writev),
#ifdef __x86_64__
    CALL(access),
    CALL(alarm),
    CALL(arch_prctl),
    CALL(epoll_wait),
    CALL(fork),
    CALL(getpgrp),
    CALL(mknod),
    CALL(open),
    CALL(pipe),
    CALL(poll),
    CALL(readlink),
    CALL(stat),
    CALL(unlink),
#endif
};

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

const char *sandbox_name(int number)
{
    unsigned int i;

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].number == number)
            return calls[i].name;
    return NULL;
}

int sandbox_number(const char *name)
{
    unsigned int i;

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    return -1;
}

static int install(const int *numbers, unsigned int count, unsigned int listed,
                   unsigned int others)
{
    struct sock_filter code[5 + 2 * CALLS_MAX];
    struct sock_fprog program = {.filter = code};
    unsigned short n = 0;
    unsigned int i;

    if (ARCHITECTURE == 0 || count > CALLS_MAX)
        return -ENOSYS;
    code[n++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                             ARCHITECTURE, 1, 0);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, nr));
    for (i = 0; i < count; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)numbers[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
    program.len = n;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return -errno;
    return 0;
}

int sandbox_allow(const int *numbers, unsigned int count)
{
    return install(numbers, count, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

int sandbox_refuse(const int *numbers, unsigned int count, int error)
{
    unsigned int verdict = SECCOMP_RET_KILL_PROCESS;

    if (error)
        verdict = SECCOMP_RET_ERRNO | (unsigned int)error;
    return install(numbers, count, verdict, SECCOMP_RET_ALLOW);
}

/* Adds the calls that words names. Returns how many there are now, or -1. */
static int add_words(char *words, int *numbers, int count)
{
    char *save, *word;

    for (word = strtok_r(words, " `,|\n", &save); word;
         word = strtok_r(NULL, " `,|\n", &save)) {
        int number = sandbox_number(word);

        if (number < 0 || count >= (int)CALLS_MAX) {
            fprintf(stderr, "sandbox: unknown system call %s\n", word);
            return -1;
        }
        numbers[count++] = number;
    }
    return count;
}

/* A row is "| engine | `call`, `call` |". */
static int add_row(char *line, const char *engine, int *numbers, int count)
{
    size_t length = strlen(engine);

    if (strncmp(line, "| ", 2) != 0 || strncmp(line + 2, engine, length) != 0 ||
        strncmp(line + 2 + length, " | `", 4) != 0)
        return count;
    return add_words(line + 2 + length, numbers, count);
}

int sandbox_documented(const char *path, const char *engine, int *ret_numbers)
{
    char line[4096], words[4096];
    int count = 0, common = 0;
    FILE *document = fopen(path, "r");

    if (!document) {
        fprintf(stderr, "sandbox: cannot open %s\n", path);
        return -ENOENT;
    }
    while (count >= 0 && fgets(line, sizeof(line), document)) {
        strcpy(words, line);
        count = add_row(words, "all", ret_numbers, count);
        common = common ? common : count;
        strcpy(words, line);
        if (count >= 0)
            count = add_row(words, engine, ret_numbers, count);
    }
    fclose(document);
    if (common == 0 || (count == common && strcmp(engine, "threads") != 0)) {
        fprintf(stderr, "sandbox: %s lists nothing for %s\n", path, engine);
        return -EINVAL;
    }
    return count < 0 ? -EINVAL : count;
}

int sandbox_allow_documented(const char *path, const char *engine,
                             const char *extra)
{
    int numbers[CALLS_MAX];
    int count = sandbox_documented(path, engine, numbers);
    char words[4096];

    if (count < 0)
        return count;
    snprintf(words, sizeof(words), "%s", extra);
    count = add_words(words, numbers, count);
    return count < 0 ? -EINVAL : sandbox_allow(numbers, (unsigned int)count);
}
