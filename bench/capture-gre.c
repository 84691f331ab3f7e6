/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A minimal capture agent: libpcap reads the packets of a device, and a raw socket sends them in
 * GRE (ERSPAN type II, so that the same receiver counts them).
 * usage: capture-gre DEVICE SOURCE DESTINATION SESSION
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADERS = 16, LONGEST = 65536, RING = 64 << 20 };

static int out;
static struct sockaddr_in destination = {.sin_family = AF_INET};
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

int main(int argc, char **argv) {
    char error[PCAP_ERRBUF_SIZE];
    struct sockaddr_in source = {.sin_family = AF_INET};
    unsigned int words[4];
    pcap_t *in;

    if (argc != 5 || inet_pton(AF_INET, argv[2], &source.sin_addr) != 1 ||
        inet_pton(AF_INET, argv[3], &destination.sin_addr) != 1)
        return 2;
    words[0] = htonl(0x100088be); /* sequence present, ERSPAN */
    words[1] = 0;
    words[2] = htonl(1U << 28 | atoi(argv[4])); /* version, session */
    words[3] = 0;
    memcpy(packet, words, sizeof(words));
    out = socket(AF_INET, SOCK_RAW, IPPROTO_GRE);
    if (out < 0 || bind(out, (struct sockaddr *)&source, sizeof(source))) {
        perror("raw socket");
        return 1;
    }
    in = pcap_create(argv[1], error);
    if (!in || pcap_set_snaplen(in, LONGEST) || pcap_set_promisc(in, 1) || pcap_set_timeout(in, 10) ||
        pcap_set_buffer_size(in, RING) || pcap_activate(in) < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], in ? pcap_geterr(in) : error);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    return pcap_loop(in, -1, send_on, NULL) ? 1 : 0;
}
