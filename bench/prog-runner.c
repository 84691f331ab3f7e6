/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs pinned BPF programs on one packet, on one CPU after the other and on all together, by
 * BPF_PROG_RUN. usage: prog-runner ROUNDS MICROSECONDS PACKET WORKER..., with a WORKER for each CPU:
 * CPU,NETNS,PROGRAM,IFINDEX. PACKET is hex.
 *
 * A round is a slice of so many microseconds for each worker alone, and one for all at the same
 * time. A slice counts only if nothing else had its CPU meanwhile: the threads were not switched,
 * and used as much CPU time as has passed. Prints a JSON line for each slice that counts: the mask
 * of the workers in it, and nanoseconds a packet of each, 0 for those not in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORKERS 16
#define MAX_PACKET 2048
/*
 * Packets of one call. The kernel resets the packet for each call, and ends a call early only for a
 * signal. So many that what two calls share in the kernel, as the references to a program, is nothing.
 */
#define BATCH 256
/* A slice counts if this share of its time was CPU time of the thread. */
#define LEAST_CPU 0.98

struct worker {
    int index;
    int cpu;
    char netns[256];
    char program[512];
    unsigned int ifindex;
    bool counts; /* the last slice */
    double nanoseconds;
    pthread_t thread;
};

static struct worker workers[MAX_WORKERS];
static int count;
static unsigned char packet[MAX_PACKET];
static unsigned int packet_length;
static uint64_t slice_ns;
static unsigned int rounds;
static pthread_barrier_t begin, end;
static atomic_uint ready;
static unsigned int chosen; /* mask of the workers of this slice */
static bool over;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static long switches(void) {
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw + usage.ru_nvcsw;
}

static int open_program(const char *path) {
    union bpf_attr attr = {.pathname = (uint64_t)(uintptr_t)path};
    int fd = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));

    if (fd < 0)
        die(path);
    return fd;
}

static void run(int program, struct __sk_buff *context) {
    union bpf_attr attr = {
        .test = {
            .prog_fd = program,
            .data_in = (uint64_t)(uintptr_t)packet,
            .data_size_in = packet_length,
            .repeat = BATCH,
            .ctx_in = (uint64_t)(uintptr_t)context,
            .ctx_size_in = sizeof(*context),
        },
    };

    if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
        die("BPF_PROG_RUN");
}

/* Runs the program until the slice is over. All workers of a slice begin together. */
static void slice(struct worker *self, int program, struct __sk_buff *context) {
    uint64_t start, cpu, now;
    unsigned long packets = 0;
    long before;

    run(program, context); /* caches are warm */
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < (unsigned int)__builtin_popcount(chosen))
        ;
    before = switches();
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    start = clock_ns(CLOCK_MONOTONIC);
    do {
        run(program, context);
        packets += BATCH;
        now = clock_ns(CLOCK_MONOTONIC);
    } while (now - start < slice_ns);
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    self->counts = switches() == before && cpu >= LEAST_CPU * (now - start);
    self->nanoseconds = (double)(now - start) / packets;
}

static void *work(void *argument) {
    struct worker *self = argument;
    struct __sk_buff context = {.ifindex = self->ifindex};
    int netns = open(self->netns, O_RDONLY | O_CLOEXEC);
    int program = open_program(self->program);
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(self->cpu, &cpus);
    if (sched_setaffinity(0, sizeof(cpus), &cpus))
        die("sched_setaffinity");
    if (netns < 0 || setns(netns, CLONE_NEWNET))
        die(self->netns);
    setpriority(PRIO_PROCESS, syscall(SYS_gettid), -20); /* a slice is short */
    for (;;) {
        pthread_barrier_wait(&begin);
        if (over)
            return NULL;
        if (chosen & 1U << self->index)
            slice(self, program, &context);
        pthread_barrier_wait(&end);
    }
}

static void measure(unsigned int mask) {
    chosen = mask;
    atomic_store(&ready, 0);
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    for (int i = 0; i < count; i++)
        if (mask & 1U << i && !workers[i].counts)
            return;
    printf("{\"workers\":%u,\"ns\":[", mask);
    for (int i = 0; i < count; i++)
        printf("%s%.1f", i ? "," : "", mask & 1U << i ? workers[i].nanoseconds : 0);
    printf("]}\n");
}

static void parse_packet(const char *hex) {
    for (; hex[0] && hex[1] && packet_length < MAX_PACKET; hex += 2) {
        unsigned int byte;
        if (sscanf(hex, "%2x", &byte) != 1)
            break;
        packet[packet_length++] = byte;
    }
}

int main(int argc, char **argv) {
    if (argc < 5 || argc - 4 > MAX_WORKERS) {
        fprintf(stderr, "usage: prog-runner ROUNDS MICROSECONDS PACKET CPU,NETNS,PROGRAM,IFINDEX...\n");
        return 2;
    }
    rounds = atoi(argv[1]);
    slice_ns = strtoull(argv[2], NULL, 10) * 1000;
    parse_packet(argv[3]);
    count = argc - 4;
    pthread_barrier_init(&begin, NULL, count + 1);
    pthread_barrier_init(&end, NULL, count + 1);
    for (int i = 0; i < count; i++) {
        struct worker *self = &workers[i];
        self->index = i;
        if (sscanf(argv[4 + i], "%d,%255[^,],%511[^,],%u", &self->cpu, self->netns, self->program, &self->ifindex) != 4) {
            fprintf(stderr, "prog-runner: %s\n", argv[4 + i]);
            return 2;
        }
        if (pthread_create(&self->thread, NULL, work, self))
            die("pthread_create");
    }
    for (unsigned int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++)
            measure(1U << i);
        measure((1U << count) - 1);
    }
    over = true;
    pthread_barrier_wait(&begin);
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    return 0;
}
