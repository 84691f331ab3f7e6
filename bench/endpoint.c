/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of the bench's traffic.
 *   endpoint serve PORT                echoes single bytes over TCP, one connection after the other
 *   endpoint ask ADDRESS PORT SECONDS  sends a byte, waits for its echo, and so on; prints a JSON text
 *   endpoint take PORT                 reads blocks over TCP and answers each with a byte
 *   endpoint give ADDRESS PORT SECONDS sends such blocks; prints a JSON text with the time of a block
 *   endpoint sink PORT                 a UDP socket without a reader: datagrams are dropped at its full
 *                                      buffer, without an answer
 *   endpoint send FILE SECONDS [RATE]  sends the frames of a file again and again, as fast as it can or
 *                                      RATE a second; prints a JSON text with the time of a frame
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 4000000

static uint64_t now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int fail(const char *what) {
    perror(what);
    return 1;
}

static struct sockaddr_in address_of(const char *address, const char *port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};

    inet_pton(AF_INET, address, &result.sin_addr);
    return result;
}

static int open_socket(int type, const char *port) {
    struct sockaddr_in address = address_of("0.0.0.0", port);
    int fd = socket(AF_INET, type, 0);
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* Sends without delay, and with the same congestion control on every machine. */
static void set_up(int fd) {
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", sizeof("cubic") - 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int serve(const char *port) {
    int listener = open_socket(SOCK_STREAM, port);
    char byte;

    if (listener < 0 || listen(listener, 4))
        return fail("listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return fail("accept");
        set_up(fd);
        while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
            ;
        close(fd);
    }
}

/* A block is some 200 us of one CPU, which mostly nothing interrupts. A write is one super-packet. */
#define WRITE_SIZE (60 << 10)
#define BLOCK_WRITES 16

static char data[WRITE_SIZE];

static int take(const char *port) {
    int listener = open_socket(SOCK_STREAM, port);

    if (listener < 0 || listen(listener, 4))
        return fail("listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        size_t left = BLOCK_WRITES * WRITE_SIZE;
        ssize_t length;
        if (fd < 0)
            return fail("accept");
        set_up(fd);
        while ((length = read(fd, data, left < sizeof(data) ? left : sizeof(data))) > 0) {
            left -= length;
            if (left)
                continue;
            left = BLOCK_WRITES * WRITE_SIZE;
            if (write(fd, data, 1) != 1)
                break;
        }
        close(fd);
    }
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static int ask(const char *to, const char *port, double seconds) {
    struct sockaddr_in address = address_of(to, port);
    uint32_t *samples = malloc(MAX_SAMPLES * sizeof(*samples));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t start, last, end;
    uint32_t count = 0;
    char byte = 'x';

    if (!samples || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return fail("connect");
    set_up(fd);
    start = last = now();
    end = start + (uint64_t)(seconds * 1e9);
    while (last < end && count < MAX_SAMPLES) {
        uint64_t time;
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            return fail("exchange");
        time = now();
        samples[count++] = time - last;
        last = time;
    }
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"transactions\":%u,\"mean\":%.1f,\"low\":%u,\"p50\":%u,\"p99\":%u,\"perSecond\":%.1f}\n", count,
           (double)(last - start) / count, samples[count / 4], samples[count / 2], samples[(uint64_t)count * 99 / 100],
           count / ((last - start) / 1e9));
    return 0;
}

static int give(const char *to, const char *port, double seconds) {
    struct sockaddr_in address = address_of(to, port);
    uint32_t *samples = malloc(MAX_SAMPLES * sizeof(*samples));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t start, last, end;
    uint32_t count = 0;
    char byte;

    if (!samples || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return fail("connect");
    set_up(fd);
    start = last = now();
    end = start + (uint64_t)(seconds * 1e9);
    while (last < end && count < MAX_SAMPLES) {
        uint64_t time;
        for (int i = 0; i < BLOCK_WRITES; i++)
            if (write(fd, data, sizeof(data)) != sizeof(data))
                return fail("write");
        if (read(fd, &byte, 1) != 1)
            return fail("answer");
        time = now();
        samples[count++] = time - last;
        last = time;
    }
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"blockBytes\":%u,\"blocks\":%u,\"seconds\":%.6f,\"low\":%u,\"median\":%u}\n", BLOCK_WRITES * WRITE_SIZE,
           count, (last - start) / 1e9, samples[count / 4], samples[count / 2]);
    return 0;
}

static int sink(const char *port) {
    int fd = open_socket(SOCK_DGRAM, port);
    int small = 1; /* the kernel raises it to its minimum */

    if (fd < 0)
        return fail("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (;;)
        pause();
}

/*
 * Frames of one call, which is timed as a whole: 32 small ones take some 50 us, which mostly nothing
 * interrupts. A call has all frames of a short list, so that all calls are alike, and of a longer one
 * the next frames.
 */
#define CALL_FRAMES 32
#define SHORT_LIST 64
#define MAX_FRAMES 1024
#define MAX_FRAME 2048

struct frames {
    struct mmsghdr messages[MAX_FRAMES];
    struct iovec bytes[MAX_FRAMES];
    struct sockaddr_ll devices[MAX_FRAMES];
    unsigned int count;
    unsigned int call; /* frames of a call: `count` is a multiple of it */
};

/* A line of the file is "DEVICE FRAME", the frame in hex. */
static int read_frames(const char *path, struct frames *frames) {
    static char line[2 * MAX_FRAME + 64];
    FILE *file = fopen(path, "r");
    unsigned int listed = 0, byte;

    while (file && listed < MAX_FRAMES && fgets(line, sizeof(line), file)) {
        struct iovec *bytes = &frames->bytes[listed];
        char *hex = strchr(line, ' ');
        if (!hex)
            return -1;
        *hex++ = 0;
        bytes->iov_base = malloc(MAX_FRAME);
        for (; bytes->iov_base && sscanf(hex, "%2x", &byte) == 1 && bytes->iov_len < MAX_FRAME; hex += 2)
            ((unsigned char *)bytes->iov_base)[bytes->iov_len++] = byte;
        frames->devices[listed].sll_family = AF_PACKET;
        frames->devices[listed++].sll_ifindex = if_nametoindex(line);
    }
    if (!listed)
        return -1;
    do {
        struct msghdr *message = &frames->messages[frames->count].msg_hdr;
        message->msg_iov = &frames->bytes[frames->count % listed];
        message->msg_iovlen = 1;
        message->msg_name = &frames->devices[frames->count % listed];
        message->msg_namelen = sizeof(struct sockaddr_ll);
        frames->count++;
    } while (frames->count < CALL_FRAMES || frames->count % listed);
    frames->call = listed <= SHORT_LIST ? frames->count : CALL_FRAMES;
    return frames->count % frames->call ? -1 : 0;
}

/*
 * With a rate, calls are evenly apart. A sender that was late is late from then on, and does not
 * catch up with a burst.
 */
static int send_frames(const char *path, double seconds, double rate) {
    static struct frames frames;
    uint32_t *samples = malloc(MAX_SAMPLES * sizeof(*samples));
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    uint64_t start, last, end;
    uint32_t count = 0;
    double step, due;

    if (!samples || fd < 0 || read_frames(path, &frames))
        return fail(path);
    step = rate > 0 ? frames.call * 1e9 / rate : 0;
    due = start = last = now();
    end = start + (uint64_t)(seconds * 1e9);
    while (last < end && count < MAX_SAMPLES) {
        uint64_t begin = last;
        while (begin < due)
            begin = now();
        due = (begin > due + step ? begin : due) + step;
        struct mmsghdr *next = frames.messages + (uint64_t)count * frames.call % frames.count;
        for (unsigned int sent = 0; sent < frames.call;) {
            int more = sendmmsg(fd, next + sent, frames.call - sent, 0);
            /* Newer kernels say so where a queue behind the device is full: this frame is lost. */
            if (more < 0 && errno != ENOBUFS)
                return fail("sendmmsg");
            sent += more < 0 ? 1 : more;
        }
        last = now();
        samples[count++] = last - begin;
    }
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"frames\":%u,\"seconds\":%.6f,\"low\":%.1f,\"median\":%.1f}\n", count * frames.call, (last - start) / 1e9,
           (double)samples[count / 4] / frames.call, (double)samples[count / 2] / frames.call);
    return 0;
}

int main(int argc, char **argv) {
    if ((argc == 4 || argc == 5) && !strcmp(argv[1], "send"))
        return send_frames(argv[2], atof(argv[3]), argc == 5 ? atof(argv[4]) : 0);
    if (argc == 5 && !strcmp(argv[1], "give"))
        return give(argv[2], argv[3], atof(argv[4]));
    if (argc == 3 && !strcmp(argv[1], "take"))
        return take(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "ask"))
        return ask(argv[2], argv[3], atof(argv[4]));
    if (argc == 3 && !strcmp(argv[1], "sink"))
        return sink(argv[2]);
    fprintf(stderr, "usage: endpoint serve PORT | ask ADDRESS PORT SECONDS | take PORT | give ADDRESS PORT SECONDS | "
                    "sink PORT | send FILE SECONDS [RATE]\n");
    return 2;
}
