/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of the bench's traffic. endpoint serve PORT echoes single bytes over TCP, one
 * connection after the other endpoint ask ADDRESS PORT SECONDS sends a byte, waits for its echo,
 * and so on; prints a JSON text endpoint sink PORT a UDP socket without a reader: datagrams are
 * dropped at its full buffer, without an answer endpoint send DEVICE FRAME SECONDS sends a frame (hex)
 * again and again; prints a JSON text with the time of a frame
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
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

static int sink(const char *port) {
    int fd = open_socket(SOCK_DGRAM, port);
    int small = 1; /* the kernel raises it to its minimum */

    if (fd < 0)
        return fail("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (;;)
        pause();
}

/* Frames of one call, which is timed as a whole: some 50 us, which mostly nothing interrupts. */
#define CALL_FRAMES 32

static int send_frames(const char *device, const char *hex, double seconds) {
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(device)};
    uint32_t *samples = malloc(MAX_SAMPLES * sizeof(*samples));
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct mmsghdr calls[CALL_FRAMES] = {};
    unsigned char frame[2048];
    struct iovec bytes = {.iov_base = frame};
    uint64_t start, last, end;
    uint32_t count = 0;
    unsigned int byte;

    for (; sscanf(hex, "%2x", &byte) == 1 && bytes.iov_len < sizeof(frame); hex += 2)
        frame[bytes.iov_len++] = byte;
    for (int i = 0; i < CALL_FRAMES; i++) {
        calls[i].msg_hdr.msg_iov = &bytes;
        calls[i].msg_hdr.msg_iovlen = 1;
    }
    if (!samples || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
        return fail("bind");
    start = last = now();
    end = start + (uint64_t)(seconds * 1e9);
    while (last < end && count < MAX_SAMPLES) {
        uint64_t time;
        if (sendmmsg(fd, calls, CALL_FRAMES, 0) != CALL_FRAMES)
            return fail("sendmmsg");
        time = now();
        samples[count++] = time - last;
        last = time;
    }
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"frames\":%u,\"seconds\":%.6f,\"low\":%.1f,\"median\":%.1f}\n", count * CALL_FRAMES,
           (last - start) / 1e9, (double)samples[count / 4] / CALL_FRAMES, (double)samples[count / 2] / CALL_FRAMES);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "send"))
        return send_frames(argv[2], argv[3], atof(argv[4]));
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "ask"))
        return ask(argv[2], argv[3], atof(argv[4]));
    if (argc == 3 && !strcmp(argv[1], "sink"))
        return sink(argv[2]);
    fprintf(stderr, "usage: endpoint serve PORT | ask ADDRESS PORT SECONDS | sink PORT | send DEVICE FRAME SECONDS\n");
    return 2;
}
