// SPDX-License-Identifier: Apache-2.0
/*
 * The hand of a test inside a guest: sends numbered UDP packets, and counts those that arrive, each number by itself.
 * So a test knows of every copy whether the guest has got it, got it twice or never, while the guest moves from node to
 * node.
 *
 *   probe echo PORT                 sends back what comes in over TCP
 *   probe record DEVICE             counts numbered packets on a device for good, whoever they are addressed to
 *   probe report                    prints what was counted: "STREAM FIRST LAST COUNT" per run of numbers with one
 * count, and first "lost N": frames that this guest had no room for probe reset                     forgets what was
 * counted probe send ADDRESS PORT STREAM FIRST COUNT INTERVAL_US [SIZE] sends COUNT packets of SIZE bytes of payload,
 * numbered from FIRST, evenly paced
 *
 * A numbered packet is UDP over IPv4 whose payload begins with MAGIC, the stream and the number, each 32 bits,
 * big-endian.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x6d706e72u /* "mpnr" */
#define STREAMS 16
#define NUMBERS 65536
#define COUNT_MAX 255
#define PAYLOAD_MAX 1472
#define RECORD_FILE "/run/record"
#define RECEIVE_BUFFER (8 << 20)

struct numbered {
    uint32_t magic;
    uint32_t stream;
    uint32_t number;
};

/* Lies in a file that `record` fills and `report` reads: no talk between the two, nothing to lose when the guest moves.
 */
struct record {
    uint32_t lost;
    uint32_t streams;
    uint32_t stream[STREAMS];
    uint32_t numbers[STREAMS]; /* highest number seen, plus one */
    uint8_t count[STREAMS][NUMBERS];
};

static void check(int failed, const char *what) {
    if (!failed)
        return;
    perror(what);
    exit(1);
}

static uint32_t number_of(const char *text) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value > UINT32_MAX) {
        fprintf(stderr, "probe: '%s' is not a number of 32 bits\n", text);
        exit(2);
    }
    return value;
}

static struct record *open_record(void) {
    int file = open(RECORD_FILE, O_RDWR | O_CREAT, 0600);
    check(file < 0 || ftruncate(file, sizeof(struct record)) < 0, RECORD_FILE);
    void *at = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    check(at == MAP_FAILED, "mmap");
    return at;
}

static void count(struct record *record, uint32_t stream, uint32_t number) {
    uint32_t slot = 0;
    while (slot < record->streams && record->stream[slot] != stream)
        slot++;
    if (slot == STREAMS || number >= NUMBERS) {
        record->lost++;
        return;
    }
    record->stream[slot] = stream;
    if (number >= record->numbers[slot])
        record->numbers[slot] = number + 1;
    if (record->count[slot][number] < COUNT_MAX)
        record->count[slot][number]++;
    if (slot == record->streams)
        record->streams++;
}

/* The numbered payload of an Ethernet frame, or NULL. */
static const struct numbered *numbered_in(const uint8_t *frame, size_t length) {
    const struct ethhdr *eth = (const void *)frame;
    const struct iphdr *ip = (const void *)(frame + ETH_HLEN);
    if (length < ETH_HLEN + sizeof(*ip) || eth->h_proto != htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
        return NULL;
    size_t offset = ETH_HLEN + ip->ihl * 4 + sizeof(struct udphdr);
    const struct numbered *at = (const void *)(frame + offset);
    return length >= offset + sizeof(*at) && at->magic == htonl(MAGIC) ? at : NULL;
}

static int record(const char *device) {
    struct record *record = open_record();
    int sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    check(sock < 0, "packet socket");
    int room = RECEIVE_BUFFER;
    check(setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0, "receive buffer");
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    where.sll_ifindex = if_nametoindex(device);
    check(where.sll_ifindex == 0 || bind(sock, (void *)&where, sizeof(where)) < 0, device);
    struct packet_mreq all = {.mr_ifindex = where.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    check(setsockopt(sock, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0, "promiscuous mode");
    check(daemon(0, 0) < 0, "daemon");
    uint8_t frame[65536];
    for (;;) {
        struct sockaddr_ll from;
        socklen_t size = sizeof(from);
        ssize_t length = recvfrom(sock, frame, sizeof(frame), 0, (void *)&from, &size);
        if (length < 0)
            continue;
        const struct numbered *packet = numbered_in(frame, length);
        if (packet != NULL && from.sll_pkttype != PACKET_OUTGOING)
            count(record, ntohl(packet->stream), ntohl(packet->number));
        struct tpacket_stats stats;
        size = sizeof(stats);
        if (getsockopt(sock, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
            record->lost += stats.tp_drops;
    }
}

static int report(void) {
    const struct record *record = open_record();
    printf("lost %u\n", record->lost);
    for (uint32_t slot = 0; slot < record->streams; slot++) {
        const uint8_t *counts = record->count[slot];
        uint32_t first = 0;
        for (uint32_t number = 1; number <= record->numbers[slot]; number++) {
            if (number < record->numbers[slot] && counts[number] == counts[first])
                continue;
            printf("%u %u %u %u\n", record->stream[slot], first, number - 1, counts[first]);
            first = number;
        }
    }
    return 0;
}

static int reset(void) {
    memset(open_record(), 0, sizeof(struct record));
    return 0;
}

static int send_numbered(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number_of(argv[1]))};
    check(inet_pton(AF_INET, argv[0], &to.sin_addr) != 1, argv[0]);
    uint32_t stream = number_of(argv[2]), first = number_of(argv[3]), total = number_of(argv[4]);
    uint64_t interval = number_of(argv[5]) * 1000ull;
    size_t size = argc > 6 ? number_of(argv[6]) : sizeof(struct numbered);
    if (size < sizeof(struct numbered) || size > PAYLOAD_MAX) {
        fprintf(stderr, "probe: a payload has %zu to %d bytes\n", sizeof(struct numbered), PAYLOAD_MAX);
        return 2;
    }
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    check(sock < 0, "socket");
    uint8_t payload[PAYLOAD_MAX] = {0};
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (uint32_t number = first; number - first < total; number++) {
        struct numbered head = {htonl(MAGIC), htonl(stream), htonl(number)};
        memcpy(payload, &head, sizeof(head));
        while (sendto(sock, payload, size, 0, (void *)&to, sizeof(to)) < 0)
            check(errno != ENOBUFS && errno != EINTR, "send");
        uint64_t next = due.tv_nsec + interval;
        due.tv_sec += next / 1000000000;
        due.tv_nsec = next % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    printf("sent %u\n", total);
    return 0;
}

static int echo(uint16_t port) {
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    check(bind(listener, (void *)&here, sizeof(here)) < 0 || listen(listener, 16) < 0, "listen");
    check(daemon(0, 0) < 0, "daemon");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        if (fork() != 0) {
            close(client);
            continue;
        }
        char data[4096];
        ssize_t length;
        while ((length = read(client, data, sizeof(data))) > 0)
            for (ssize_t done = 0, n; done < length; done += n)
                if ((n = write(client, data + done, length - done)) < 0)
                    exit(1);
        exit(0);
    }
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "echo") == 0 && argc == 3)
        return echo(number_of(argv[2]));
    if (strcmp(verb, "record") == 0 && argc == 3)
        return record(argv[2]);
    if (strcmp(verb, "report") == 0 && argc == 2)
        return report();
    if (strcmp(verb, "reset") == 0 && argc == 2)
        return reset();
    if (strcmp(verb, "send") == 0 && (argc == 8 || argc == 9))
        return send_numbered(argc - 2, argv + 2);
    fputs("usage: probe echo PORT | record DEVICE | report | reset |\n"
          "             send ADDRESS PORT STREAM FIRST COUNT INTERVAL_US [SIZE]\n",
          stderr);
    return 2;
}
