/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cut: truncation of a copy that does not fit into the underlay. Where the stack has still to compute the checksum of
 * TCP or UDP, it would do so over what is left; what is cut off is added to its starting value, so that the copy
 * carries the checksum that the whole packet has.
 */
#ifndef MIRRORPLANE_CUT_H
#define MIRRORPLANE_CUT_H

#include "split.h"

#define UDP_CHECK 6

/* Offset of the TCP or UDP header of a whole packet without IP options or extension headers, else 0. */
static __always_inline __u32 find_transport(struct __sk_buff *skb, struct split *split, __u8 *protocol) {
    __u32 transport = ETH_HEADER_LEN + 40;
    __u16 length;

    split->ipv6 = skb->protocol == bpf_htons(ETH_P_IPV6);
    if (split->ipv6) {
        if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN + 6, protocol, 1) ||
            bpf_skb_load_bytes(skb, ETH_HEADER_LEN + 4, &length, sizeof(length)))
            return 0;
        return bpf_ntohs(length) == skb->len - transport ? transport : 0;
    }
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr ip;

        transport = ETH_HEADER_LEN + sizeof(ip);
        if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl != 5 ||
            ip.frag_off & bpf_htons(0x3fff))
            return 0;
        *protocol = ip.protocol;
        return bpf_ntohs(ip.tot_len) == skb->len - ETH_HEADER_LEN ? transport : 0;
    }
    return 0;
}

/* Adds what is behind `length` to a checksum that the stack is to finish; leaves one that is finished alone. */
static __always_inline void keep_checksum(struct __sk_buff *skb, struct copy_context *copy, __u32 length) {
    __u8 protocol = 0;
    __u32 transport = find_transport(skb, &copy->split, &protocol);
    __u32 field = transport + (protocol == IPPROTO_UDP ? UDP_CHECK : TCP_CHECK);
    __s64 pseudo;
    __s64 sum;
    __u32 tail;
    __u16 check;

    if (!transport || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || length < field + sizeof(check))
        return;
    pseudo = sum_pseudo(skb, copy, protocol, skb->len - transport);
    if (pseudo < 0 || bpf_skb_load_bytes(skb, field, &check, sizeof(check)) || check != fold(pseudo))
        return;
    sum = sum_bytes(skb, copy, transport, skb->len - transport, pseudo);
    if (sum < 0 || fold(sum) == 0xffff)
        return;
    sum = sum_bytes(skb, copy, length, skb->len - length, 0);
    if (sum < 0)
        return;
    tail = fold(sum);
    if ((length - transport) & 1) /* its first byte is the second of a word */
        tail = (tail >> 8 | tail << 8) & 0xffff;
    check = fold(check + tail);
    bpf_skb_store_bytes(skb, field, &check, sizeof(check), 0);
}

/* Shortens a copy to `length` bytes. Before the encapsulation: afterwards the kernel refuses. */
__global long cut(struct __sk_buff *skb, struct copy_context *copy, __u32 length) {
    if (!copy)
        return -1;
    keep_checksum(skb, copy, length);
    return bpf_skb_change_tail(skb, length, 0);
}

#endif
