/* The listener of a child that ends is late: what waits for it is told to go, and runs, before it goes on. See places.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

typedef int act(void *);

static __thread int has_told;

int apr_thread_cond_broadcast(void *condition)
{
    act *real = (act *)dlsym(RTLD_NEXT, "apr_thread_cond_broadcast");

    has_told = 1;
    return real(condition);
}

int apr_thread_mutex_unlock(void *mutex)
{
    const struct timespec pause = { 0, 500000000 };
    act *real = (act *)dlsym(RTLD_NEXT, "apr_thread_mutex_unlock");
    int status = real(mutex);

    if (has_told) {
        has_told = 0;
        nanosleep(&pause, NULL);
    }
    return status;
}
