/* A filter of system calls, such as services are started with. What it does with a process that chooses how it is
 * scheduled FILTER says: it ends it ("forbids"), or asks somebody who never answers ("asks"); else it forbids nothing. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILTERED(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

__attribute__((constructor)) static void filter(void)
{
    const char *manner = getenv("FILTER");
    const int asks = manner && !strcmp(manner, "asks");
    const unsigned action = asks     ? SECCOMP_RET_USER_NOTIF
                            : manner ? SECCOMP_RET_KILL_PROCESS
                                     : SECCOMP_RET_ALLOW;
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        FILTERED(sched_setscheduler),
        FILTERED(setpriority),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { sizeof rules / sizeof *rules, rules };
    const unsigned flags = asks ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;

    /* The listener stays open, unread. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0)
        abort();
}
