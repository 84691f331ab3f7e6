/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a copy needs of the kernel, and nothing else: the calls without which there is no copy. What
 * lies between these programs and those of Mirrorplane is what Mirrorplane can still gain. They
 * count nothing, look nothing up, and know no VLAN tags, truncation, budgets, loops or proofs. The
 * bench compiles them with addresses and devices as constants, see trials.ts.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NEXT (-1)
#define SHOT 2
#define ETHERNET 14
#define HEADERS 36 /* IPv4, GRE with a sequence number, ERSPAN type II */
#define PROTOCOL_AT (ETHERNET + 9)

struct headers {
    __u8 padding[2];
    __u8 ethernet[ETHERNET];
    struct iphdr ip;
    __be32 gre;
    __be32 sequence;
    __be32 word;
    __be32 index;
    __u8 inner[ETHERNET];
};

/* Says of a packet that it is a copy, at a device that other packets leave by as well. */
#define COPY_MARK 0x6d6972

SEC("tc")
int copy(struct __sk_buff *skb) {
    bpf_clone_redirect(skb, TO, 0);
    return NEXT;
}

SEC("tc")
int copy_marked(struct __sk_buff *skb) {
    skb->mark = COPY_MARK;
    bpf_clone_redirect(skb, TO, 0);
    skb->mark = 0;
    return NEXT;
}

static __always_inline __sum16 checksum(const struct iphdr *ip) {
    const __u16 *words = (const __u16 *)ip;
    __u32 sum = 0;

#pragma unroll
    for (int i = 0; i < 10; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline long wrap_in_headers(struct __sk_buff *skb) {
    const __u8 addresses[] = {ADDRESSES}; /* of the next hop, and of the device */
    struct headers headers = {};
    __u32 length;

    if (bpf_skb_load_bytes(skb, 0, headers.inner, ETHERNET) ||
        bpf_skb_adjust_room(skb, HEADERS + ETHERNET, BPF_ADJ_ROOM_MAC,
                            BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                                BPF_F_ADJ_ROOM_ENCAP_L2(ETHERNET)))
        return -1;
    length = skb->len - ETHERNET;
    __builtin_memcpy(headers.ethernet, addresses, sizeof(addresses));
    headers.ethernet[12] = ETH_P_IP >> 8;
    headers.ip.version = 4;
    headers.ip.ihl = 5;
    headers.ip.tot_len = length > 0xffff ? 0 : bpf_htons(length);
    headers.ip.frag_off = bpf_htons(0x4000);
    headers.ip.ttl = 255;
    headers.ip.protocol = IPPROTO_GRE;
    headers.ip.saddr = bpf_htonl(SOURCE);
    headers.ip.daddr = bpf_htonl(DESTINATION);
    headers.ip.check = checksum(&headers.ip);
    headers.gre = bpf_htonl(0x100088be);
    headers.word = bpf_htonl(1U << 28 | SESSION);
    return bpf_skb_store_bytes(skb, 0, headers.ethernet, ETHERNET + HEADERS + ETHERNET, 0);
}

SEC("tc")
int wrap(struct __sk_buff *skb) {
    return wrap_in_headers(skb) ? SHOT : bpf_redirect(OUT, 0);
}

SEC("tc")
int wrap_here(struct __sk_buff *skb) {
    if (skb->mark != COPY_MARK)
        return NEXT;
    skb->mark = 0;
    return wrap_in_headers(skb) ? SHOT : NEXT;
}

SEC("tc")
int unwrap(struct __sk_buff *skb) {
    __u8 ethernet[ETHERNET];
    __u8 protocol;

    if (bpf_skb_load_bytes(skb, PROTOCOL_AT, &protocol, 1) || protocol != IPPROTO_GRE)
        return NEXT;
    if (!bpf_skb_load_bytes(skb, HEADERS + ETHERNET, ethernet, sizeof(ethernet)) &&
        !bpf_skb_adjust_room(skb, -(HEADERS + ETHERNET), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) &&
        !bpf_skb_store_bytes(skb, 0, ethernet, sizeof(ethernet), 0))
        bpf_clone_redirect(skb, TO, 0);
    return SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
