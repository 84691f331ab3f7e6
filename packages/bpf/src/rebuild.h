/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* rebuild: shortens a packet that bpf_skb_change_tail refuses to shorten, by building it again. */
#ifndef MIRRORPLANE_REBUILD_H
#define MIRRORPLANE_REBUILD_H

#include "maps.h"
#include "packet.h"
#include "verifier.h"

/*
 * The same length, 1 to SCRATCH_SIZE, with bounds that the verifier sees. Use it directly before
 * the call.
 */
static __always_inline __u32 chunk(__u32 length) {
    forget(length);
    return ((length - 1) & (SCRATCH_SIZE - 1)) + 1;
}

/*
 * Gives any frame the protocol IPv4, for helpers that accept no other. The kernel reads the
 * protocol from the frame when a tag is popped that is not the outermost. So two tags are pushed,
 * and the type after them is IPv4.
 */
static __always_inline long pretend_ip(struct __sk_buff *skb) {
    __u16 protocol = bpf_htons(ETH_P_IP);

    if (skb->vlan_present || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 0) ||
        bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 0) ||
        bpf_skb_store_bytes(skb, ETH_HEADER_LEN + VLAN_TAG_LEN - 2, &protocol, sizeof(protocol), 0))
        return -1;
    return bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb);
}

/* Removes all bytes between the Ethernet header and the last `rest` bytes. */
static __always_inline long remove_front(struct __sk_buff *skb, __u32 rest) {
    for (int i = 0; i < ROOM_STEPS; i++) {
        __u32 length = skb->len;
        __s32 step = length - ETH_HEADER_LEN - rest;

        if (length <= ETH_HEADER_LEN + rest)
            return 0;
        if (step > ROOM_STEP)
            step = ROOM_STEP;
        if (bpf_skb_adjust_room(skb, -step, BPF_ADJ_ROOM_MAC, 0))
            return -1;
    }
    return -1;
}

/* Makes room after the Ethernet header, so that the frame has `length` bytes. */
static __always_inline long make_front(struct __sk_buff *skb, __u32 length) {
    for (int i = 0; i < ROOM_STEPS; i++) {
        __s32 step = length - skb->len;

        if (skb->len >= length)
            return 0;
        if (step > ROOM_STEP)
            step = ROOM_STEP;
        if (bpf_skb_adjust_room(skb, step, BPF_ADJ_ROOM_MAC, 0))
            return -1;
    }
    return -1;
}

/* Reads or writes `length` bytes from `offset` on, at most KEPT_BYTES. */
static __always_inline long copy_kept(struct __sk_buff *skb, __u8 *bytes, __u32 offset, __u32 length, bool store) {
    for (int i = 0; i < KEPT_CHUNKS; i++) {
        __u32 n = length > SCRATCH_SIZE ? SCRATCH_SIZE : length;
        long err;

        if (!n)
            break;
        if (store)
            err = bpf_skb_store_bytes(skb, offset, bytes + i * SCRATCH_SIZE, chunk(n), 0);
        else
            err = bpf_skb_load_bytes(skb, offset, bytes + i * SCRATCH_SIZE, chunk(n));
        if (err)
            return err;
        offset += n;
        length -= n;
    }
    return length ? -1 : 0;
}

/*
 * Shortens a frame that bpf_skb_change_tail refuses. It refuses a frame that is already in a tunnel
 * (skb->encapsulation). It also refuses a frame with its transport header or pending checksum after
 * the cut (__bpf_skb_min_len in net/core/filter.c); a guest can cause this with any frame. The
 * bytes are saved, and the packet is built again from its front, which has no such limits. Its
 * header offsets then point before its data, and the kernel drops the pending checksum.
 */
__global long rebuild(struct __sk_buff *skb, __u32 length) {
    const __u32 start = ETH_HEADER_LEN - 2; /* with the Ethernet type */
    __u32 zero = 0;
    struct kept_bytes *kept = bpf_map_lookup_elem(&kept_bytes, &zero);
    __u32 rest;

    if (!kept || length < start || copy_kept(skb, kept->bytes, start, length - start, false))
        return -1;
    if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6) && pretend_ip(skb))
        return -1;
    /*
     * The kernel keeps an IP header. The pending checksum must not be within it. In a tunnel it
     * never is.
     */
    rest = skb->protocol == bpf_htons(ETH_P_IPV6) ? 40 : sizeof(struct iphdr);
    bpf_skb_change_tail(skb, skb->len + ETH_HEADER_LEN + rest, 0);
    if (remove_front(skb, rest) || make_front(skb, length))
        return -1;
    return copy_kept(skb, kept->bytes, start, length - start, true);
}

#endif
