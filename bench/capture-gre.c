/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A minimal capture agent: libpcap reads the packets of a device from its ring in shared memory
 * (TPACKET_V3). A raw socket sends them in GRE (ERSPAN type II, so that the same receiver counts
 * them), or a packet socket sends them as they are to another device.
 * While it captures, its name is "capturing".
 * usage: capture-gre DEVICE SOURCE DESTINATION SESSION | capture-gre DEVICE OTHER
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { HEADERS = 16, LONGEST = 65536, RING = 64 << 20 };

static int out;
static struct sockaddr_in destination = {.sin_family = AF_INET};
static struct sockaddr_ll device = {.sll_family = AF_PACKET};
static unsigned char packet[HEADERS + LONGEST];
static unsigned int sequence;

static void send_on(unsigned char *unused, const struct pcap_pkthdr *header, const unsigned char *frame) {
    unsigned int number = htonl(sequence++);

    (void)unused;
    memcpy(packet + 4, &number, 4);
    memcpy(packet + HEADERS, frame, header->caplen);
    /* With a full queue the copy is lost, as with any agent. The receiver's count shows it. */
    (void)!sendto(out, packet, HEADERS + header->caplen, 0, (struct sockaddr *)&destination, sizeof(destination));
}

static void send_to_device(unsigned char *unused, const struct pcap_pkthdr *header, const unsigned char *frame) {
    (void)unused;
    (void)!sendto(out, frame, header->caplen, 0, (struct sockaddr *)&device, sizeof(device));
}

/* A socket that sends GRE from an address. */
static int open_gre(char **argv) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    unsigned int words[4] = {
        htonl(0x100088be), /* sequence present, ERSPAN */
        0,
        htonl(1U << 28 | atoi(argv[4])), /* version, session */
        0,
    };

    memcpy(packet, words, sizeof(words));
    if (inet_pton(AF_INET, argv[2], &source.sin_addr) != 1 || inet_pton(AF_INET, argv[3], &destination.sin_addr) != 1)
        return -1;
    out = socket(AF_INET, SOCK_RAW, IPPROTO_GRE);
    return out < 0 ? out : bind(out, (struct sockaddr *)&source, sizeof(source));
}

/* A socket that sends to a device, and receives nothing. */
static int open_device(const char *name) {
    device.sll_ifindex = if_nametoindex(name);
    out = socket(AF_PACKET, SOCK_RAW, 0);
    return device.sll_ifindex ? out : -1;
}

int main(int argc, char **argv) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *in;

    if (argc != 5 && argc != 3)
        return 2;
    if ((argc == 5 ? open_gre(argv) : open_device(argv[2])) < 0) {
        perror("socket for copies");
        return 1;
    }
    in = pcap_create(argv[1], error);
    if (!in || pcap_set_snaplen(in, LONGEST) || pcap_set_promisc(in, 1) || pcap_set_timeout(in, 10) ||
        pcap_set_buffer_size(in, RING) || pcap_activate(in) < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], in ? pcap_geterr(in) : error);
        return 1;
    }
    prctl(PR_SET_NAME, "capturing");
    return pcap_loop(in, -1, argc == 5 ? send_on : send_to_device, NULL) ? 1 : 0;
}
