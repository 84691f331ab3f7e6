/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * super: super-packets, which the stack divides into segments. If these do not fit, TCP gets
 * smaller segments. A super-packet that cannot be wrapped whole, or whose segments cannot be made
 * smaller, goes through the segmenter: a device over the helper device for which the kernel makes
 * the segments. Each of them comes to `transform` as a single frame.
 */
#ifndef MIRRORPLANE_SUPER_H
#define MIRRORPLANE_SUPER_H

#include "counters.h"
#include "erspan.h"
#include "packet.h"

static __always_inline int drop(struct copy_context *copy, enum drop_reason reason) {
    count_dropped(copy, reason);
    copy->failed = 1;
    return TC_ACT_SHOT;
}

#define SHRINK_STEPS 3

/*
 * Makes the segments of a TCP super-packet smaller by `bytes`. When room is added, the kernel
 * reduces the segment size. When the room is removed with FIXED_GSO, the size does not change.
 */
static __always_inline long shrink_segments(struct __sk_buff *skb, __u32 bytes) {
#pragma unroll
    for (int i = 0; i < SHRINK_STEPS; i++) {
        __s32 step = bytes > ROOM_STEP ? ROOM_STEP : bytes;
        if (!step)
            break;
        if (bpf_skb_adjust_room(skb, step, BPF_ADJ_ROOM_MAC, 0) ||
            bpf_skb_adjust_room(skb, -step, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
            return -1;
        bytes -= step;
    }
    return bytes ? -1 : 0;
}

/*
 * Hop-by-hop header with nothing but a jumbo payload option (RFC 2675): next header, length 0, type, length 4, 32 bits.
 */
#define JUMBO_OPTION_LEN 8
#define JUMBO_OPTION_TYPE 0xc2

/*
 * IPv6 super-packets beyond 64 KiB have a jumbo payload option. The stack removes it when it makes
 * segments, but not in a tunnel, where it would send garbage. So the option is removed first.
 * Segments never have it. False: the kernel refused.
 */
static __always_inline bool strip_jumbo_option(struct __sk_buff *skb) {
    __u32 option = ETH_HEADER_LEN + 40;
    __u8 header[4]; /* of IPv6: length of the payload, next header */
    __u8 bytes[4];

    if (skb->protocol != bpf_htons(ETH_P_IPV6) || skb->len <= 0xffff)
        return true;
    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN + 4, header, sizeof(header)) ||
        bpf_skb_load_bytes(skb, option, bytes, sizeof(bytes)))
        return false;
    if (header[2] != NEXT_HOP_BY_HOP)
        return true;
    if (bytes[1] || bytes[2] != JUMBO_OPTION_TYPE)
        return false;
    return !bpf_skb_adjust_room(skb, -JUMBO_OPTION_LEN, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO) &&
           !bpf_skb_store_bytes(skb, ETH_HEADER_LEN + 6, &bytes[0], 1, 0);
}

/* Outer packets and their bytes of one copy. */
struct outer_size {
    __u32 packets;
    __u64 bytes;
    bool keep_gso_size;
};

/* The smallest payload of a segment. Smaller ones are not worth their headers. */
#define SMALLEST_SEGMENT 128

/*
 * Makes the segments of a TCP super-packet so small that frames have at most `limit` bytes, without
 * metadata tags. Returns their size, or 0 if this is not possible.
 */
static __always_inline __u32 fit_segments(struct __sk_buff *skb, __u32 headers, __u32 limit) {
    __u32 segment = skb->gso_size;

    if (limit < headers + SMALLEST_SEGMENT || headers + segment <= limit)
        return 0;
    return shrink_segments(skb, headers + segment - limit) ? 0 : limit - headers;
}

/*
 * Plans how a super-packet leaves in ERSPAN. Returns a drop reason or -1. If a segment with its
 * outer headers fits into the underlay, and into the destination, segments keep their size.
 * Otherwise TCP segments become smaller. UDP datagrams cannot be divided differently; the
 * destination's node finds out whether they fit there.
 */
static __always_inline int plan_gso(struct __sk_buff *skb, struct delivery *delivery, int tags,
                                    struct outer_size *outer) {
    __u32 room = ERSPAN_HEADERS_LEN + ETH_HEADER_LEN + tags * VLAN_TAG_LEN;
    __u32 segment = skb->gso_size;
    __u32 transport = TRANSPORT_OTHER;
    __u32 headers = header_length(skb, 0, &transport);
    __u32 overhead = headers + ERSPAN_HEADERS_LEN + tags * VLAN_TAG_LEN; /* headers of an outer IP packet */
    __u32 mtu = delivery->mtu;
    __u32 payload;

    if (!headers || skb->len <= headers)
        return DROP_GSO_UNSUPPORTED;
    if (transport == TRANSPORT_TCP && delivery->destination_mtu && mtu > delivery->destination_mtu + room)
        mtu = delivery->destination_mtu + room; /* of an underlay with just enough room */
    outer->keep_gso_size = overhead + segment <= mtu;
    if (!outer->keep_gso_size) {
        if (transport != TRANSPORT_TCP)
            return DROP_GSO_UNSUPPORTED;
        if (segment > room && overhead + segment - room <= mtu) {
            segment -= room; /* by making room for the headers */
        } else {
            segment = fit_segments(skb, headers, mtu - ERSPAN_HEADERS_LEN - tags * VLAN_TAG_LEN);
            if (!segment)
                return DROP_TOO_BIG_FOR_UNDERLAY;
            outer->keep_gso_size = true;
        }
    }
    payload = skb->len - headers;
    outer->packets = segments_of(payload, segment);
    outer->bytes = payload + (__u64)outer->packets * (headers + room);
    return -1;
}

/*
 * Sends a super-packet through the segmenter. Segments that do not come out of it are counted as
 * dropped for `reason`. All others are counted one by one when they pass `transform`, within this
 * call. Returns the verdict on the super-packet.
 */
__global int send_segments(struct __sk_buff *skb, struct copy_context *copy, __u32 segmenter, __u32 reason) {
    if (!copy)
        return TC_ACT_SHOT;
    if (!segmenter || copy->segmenting) /* a segment that is still a super-packet */
        return drop(copy, reason);
    copy->left.packets = copy->packets;
    copy->left.bytes = copy->bytes;
    copy->segmenting = 1;
    bpf_clone_redirect(skb, segmenter, 0);
    copy->segmenting = 0;
    copy->handled = 1;
    copy->packets = copy->left.packets;
    copy->bytes = copy->left.bytes;
    return copy->packets ? drop(copy, reason) : TC_ACT_SHOT;
}

/*
 * The copy is now this segment of the super-packet. All segments together have the counts of the
 * super-packet.
 */
static __always_inline void take_segment(struct __sk_buff *skb, struct copy_context *copy) {
    struct count *left = &copy->left;
    __u64 length = skb->len + (skb->vlan_present ? VLAN_TAG_LEN : 0);

    copy->packets = left->packets ? 1 : 0;
    copy->bytes = left->packets > 1 && length < left->bytes ? length : left->bytes;
    left->packets -= copy->packets;
    left->bytes -= copy->bytes;
}

#endif
