/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * split: divides a TCP segment that does not fit into the underlay with its outer headers, or into
 * the destination, into several valid segments. So nothing is lost if the underlay has the same MTU
 * as the interfaces, or the destination has a smaller MTU than the source. `transform` clones the
 * copy back to the helper device for each part but the last. The copy itself becomes the last part.
 */
#ifndef MIRRORPLANE_SPLIT_H
#define MIRRORPLANE_SPLIT_H

#include "erspan.h"
#include "maps.h"
#include "packet.h"
#include "rebuild.h"
#include "skb.h"
#include "verifier.h"

#define TCP_FLAGS 13 /* offset in the header */
#define TCP_CHECK 16
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_URG 0x20
#define TCP_CWR 0x80
#define TCP_HEADER_MAX 60
#define CHUNKS (SPLIT_CUT_MAX / SCRATCH_SIZE)

static __always_inline __u32 fold(__u32 sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/*
 * Sums `length` bytes from `offset` on, for an internet checksum, at most KEPT_CHUNKS *
 * SCRATCH_SIZE. -1: they cannot be read.
 */
__global __s64 sum_bytes(struct __sk_buff *skb, struct copy_context *copy, __u32 offset, __u32 length, __u32 sum) {
    if (!copy)
        return -1;
    for (int i = 0; i < KEPT_CHUNKS; i++) {
        __u32 n = length > SCRATCH_SIZE ? SCRATCH_SIZE : length;
        __s64 next;

        if (!n)
            break;
        if (n & 3) /* bpf_csum_diff needs whole words */
            *(__u32 *)&copy->scratch[n & (SCRATCH_SIZE - 4)] = 0;
        if (bpf_skb_load_bytes(skb, offset, copy->scratch, chunk(n)))
            return -1;
        next = bpf_csum_diff(NULL, 0, (__be32 *)copy->scratch, (chunk(n) + 3) & ~3U, sum);
        if (next < 0)
            return -1;
        sum = next;
        offset += n;
        length -= n;
    }
    return length ? -1 : sum;
}

/* The sum of the pseudo header (RFC 9293, 3.1). */
static __always_inline __s64 sum_pseudo(struct __sk_buff *skb, struct copy_context *copy, __u8 protocol, __u32 length) {
    __u32 sum = bpf_htons(protocol) + bpf_htons(length);

    if (copy->split.ipv6)
        return sum_bytes(skb, copy, ETH_HEADER_LEN + 8, 32, sum);
    return sum_bytes(skb, copy, ETH_HEADER_LEN + 12, 8, sum);
}

/*
 * Checks whether the stack must still compute the checksum. False if it is wrong, and must stay so.
 */
static __always_inline bool read_checksum(struct __sk_buff *skb, struct copy_context *copy) {
    struct split *split = &copy->split;
    __u32 tcp_length = split->headers - split->tcp + split->payload;
    __s64 pseudo = sum_pseudo(skb, copy, IPPROTO_TCP, tcp_length);
    __s64 all;
    __u16 check;

    if (pseudo < 0 || bpf_skb_load_bytes(skb, split->tcp + TCP_CHECK, &check, sizeof(check)))
        return false;
    all = sum_bytes(skb, copy, split->tcp, tcp_length, pseudo);
    if (all < 0)
        return false;
    split->checksum_done = fold(all) == 0xffff;
    return split->checksum_done || check == fold(pseudo);
}

static __always_inline bool read_ip(struct __sk_buff *skb, struct split *split) {
    __u8 byte;

    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr ip;
        if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN, &ip, sizeof(ip)))
            return false;
        split->ipv6 = 0;
        split->tcp = ETH_HEADER_LEN + sizeof(ip);
        return ip.version == 4 && ip.ihl == 5 && ip.protocol == IPPROTO_TCP && !(ip.frag_off & bpf_htons(0x3fff)) &&
               bpf_ntohs(ip.tot_len) == skb->len - ETH_HEADER_LEN;
    }
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        __u16 length;
        split->ipv6 = 1;
        split->tcp = ETH_HEADER_LEN + 40;
        return !bpf_skb_load_bytes(skb, ETH_HEADER_LEN + 6, &byte, 1) && byte == IPPROTO_TCP &&
               !bpf_skb_load_bytes(skb, ETH_HEADER_LEN + 4, &length, sizeof(length)) &&
               bpf_ntohs(length) == skb->len - split->tcp;
    }
    return false;
}

/*
 * True if the segment can leave as parts in frames of at most `limit` bytes. Fills copy->split.
 * Parts have equal lengths, and begin at a multiple of four bytes.
 */
__global bool plan_split(struct __sk_buff *skb, struct copy_context *copy, __u32 limit) {
    struct split *split;
    __u8 bytes[2]; /* data offset, flags */
    __u32 room;

    if (!copy)
        return false;
    split = &copy->split;
    if (!read_ip(skb, split) || bpf_skb_load_bytes(skb, split->tcp + TCP_FLAGS - 1, bytes, sizeof(bytes)))
        return false;
    if (bytes[1] & (TCP_SYN | TCP_RST | TCP_URG))
        return false;
    split->headers = split->tcp + (bytes[0] >> 4) * 4;
    if (split->headers < split->tcp + 20 || skb->len <= split->headers || limit < split->headers + 4)
        return false;
    split->payload = skb->len - split->headers;
    room = (limit - split->headers) & ~3U;
    if (room > SPLIT_CUT_MAX)
        room = SPLIT_CUT_MAX;
    split->parts = (split->payload + room - 1) / room;
    if (split->parts < 2 || split->parts > SPLIT_PARTS_MAX)
        return false;
    split->cut = ((split->payload + split->parts - 1) / split->parts + 3) & ~3U;
    if (split->cut > room || split->payload <= split->cut * (split->parts - 1))
        return false;
    return read_checksum(skb, copy);
}

/* Moves `length` bytes of the payload to its front, from `offset` on. */
static __always_inline long move_payload(struct __sk_buff *skb, struct copy_context *copy, __u32 offset, __u32 length) {
    __u32 to = copy->split.headers;

    for (int i = 0; i < CHUNKS; i++) {
        __u32 n = length > SCRATCH_SIZE ? SCRATCH_SIZE : length;

        if (!n)
            break;
        if (bpf_skb_load_bytes(skb, to + offset, copy->scratch, chunk(n)) ||
            bpf_skb_store_bytes(skb, to, copy->scratch, chunk(n), 0))
            return -1;
        to += n;
        length -= n;
    }
    return length ? -1 : 0;
}

/* Lengths, identification and checksum of the IP header. */
static __always_inline long write_ip(struct __sk_buff *skb, struct split *split) {
    struct iphdr ip;
    __u16 length;

    if (split->ipv6) {
        length = bpf_htons(skb->len - split->tcp);
        return bpf_skb_store_bytes(skb, ETH_HEADER_LEN + 4, &length, sizeof(length), 0);
    }
    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN, &ip, sizeof(ip)))
        return -1;
    ip.tot_len = bpf_htons(skb->len - ETH_HEADER_LEN);
    ip.id = bpf_htons(bpf_ntohs(ip.id) + split->index);
    ip.check = 0;
    ip.check = ip_checksum(&ip);
    return bpf_skb_store_bytes(skb, ETH_HEADER_LEN, &ip, sizeof(ip), 0);
}

/*
 * Turns this packet into part split.index of the segment. Not 0: this has failed, and the packet
 * cannot be used.
 */
__global long make_part(struct __sk_buff *skb, struct copy_context *copy) {
    struct split *split;
    bool checksum_done;
    bool last;
    __u32 tcp_length;
    __u32 sequence;
    __u32 offset;
    __u32 length;
    __u16 check = 0;
    __s64 pseudo;
    __s64 sum;
    __u8 flags;

    if (!copy)
        return -1;
    split = &copy->split;
    checksum_done = split->checksum_done;
    last = split->index + 1 == split->parts;
    offset = split->index * split->cut;
    if (offset >= split->payload)
        return -1;
    length = last ? split->payload - offset : split->cut;
    if (offset && move_payload(skb, copy, offset, length))
        return -1;
    if (bpf_skb_change_tail(skb, split->headers + length, 0)) {
        checksum_done = true; /* the kernel drops the pending checksum */
        if (rebuild(skb, split->headers + length))
            return -1;
    }
    tcp_length = skb->len - split->tcp;
    if (bpf_skb_load_bytes(skb, split->tcp + 4, &sequence, sizeof(sequence)) ||
        bpf_skb_load_bytes(skb, split->tcp + TCP_FLAGS, &flags, sizeof(flags)))
        return -1;
    sequence = bpf_htonl(bpf_ntohl(sequence) + offset);
    if (!last)
        flags &= ~(TCP_FIN | TCP_PSH); /* they belong to the last byte */
    if (offset)
        flags &= ~TCP_CWR; /* only the first part has it (RFC 3168, 6.1.2) */
    if (bpf_skb_store_bytes(skb, split->tcp + 4, &sequence, sizeof(sequence), 0) ||
        bpf_skb_store_bytes(skb, split->tcp + TCP_FLAGS, &flags, sizeof(flags), 0) || write_ip(skb, split))
        return -1;
    pseudo = sum_pseudo(skb, copy, IPPROTO_TCP, tcp_length);
    if (pseudo < 0)
        return -1;
    if (checksum_done) {
        if (bpf_skb_store_bytes(skb, split->tcp + TCP_CHECK, &check, sizeof(check), 0))
            return -1;
        sum = sum_bytes(skb, copy, split->tcp, tcp_length, pseudo);
        if (sum < 0)
            return -1;
        check = ~fold(sum);
    } else {
        check = fold(pseudo); /* the stack adds the rest */
    }
    return bpf_skb_store_bytes(skb, split->tcp + TCP_CHECK, &check, sizeof(check), 0);
}

#endif
