/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* transform: all work on copies, at the egress of the helper device, within the clone_redirect of `capture`.
 */
#ifndef MIRRORPLANE_TRANSFORM_H
#define MIRRORPLANE_TRANSFORM_H

#include "counters.h"
#include "cut.h"
#include "erspan.h"
#include "packet.h"
#include "split.h"

#define MAX_TAGS 2

struct vlan_tag {
    __be16 protocol;
    __be16 tci;
};

static __always_inline int drop(struct copy_context *copy, enum drop_reason reason) {
    count_dropped(copy, reason);
    copy->failed = 1;
    return TC_ACT_SHOT;
}

/* Out of an edge device with the policy's tag. A tag that the frame has already stays inside, as in 802.1ad.
 */
static __always_inline int to_edge(struct __sk_buff *skb, struct copy_context *copy, struct delivery *delivery) {
    __u32 transport = TRANSPORT_OTHER;
    __u32 headers = skb->gso_size ? header_length(skb, &transport) : 0;

    if (!fits(longest_frame(skb, headers), delivery->mtu))
        return drop(copy, DROP_TOO_BIG_FOR_DESTINATION);
    if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), delivery->vlan_id))
        return drop(copy, DROP_VLAN_UNSUPPORTED);
    count_copied(copy, false);
    count_sent(delivery->slot, copy->packets, copy->bytes + (__u64)copy->packets * VLAN_TAG_LEN);
    return bpf_redirect(delivery->ifindex, 0);
}

/*
 * Takes the tags off, outermost first: a tag left as metadata would end up on the outer frame, and
 * bpf_skb_vlan_pop turns the next tag of the frame into metadata. Returns their number, or -1 where a tag
 * remains.
 */
static __always_inline int pop_tags(struct __sk_buff *skb, struct vlan_tag tags[MAX_TAGS]) {
    int count = 0;

#pragma unroll
    for (int i = 0; i < MAX_TAGS; i++) {
        if (skb->vlan_present) {
            tags[i].protocol = skb->vlan_proto;
            tags[i].tci = bpf_htons(skb->vlan_tci);
        } else if (is_vlan_protocol(skb->protocol)) {
            if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN - 2, &tags[i], sizeof(tags[i])))
                return -1;
        } else {
            break;
        }
        if (bpf_skb_vlan_pop(skb))
            return -1;
        count++;
    }
    return skb->vlan_present ? -1 : count;
}

/* Ethernet header and tags of the copy, as they were in the original. `length` is 14 to 22. */
struct inner_l2 {
    __u8 addresses[12];
    struct vlan_tag tags[MAX_TAGS];
    __be16 protocol; /* stands at its place for two tags; see store_inner_l2 */
};

/* Writes the header with `tags` tags at `offset`. The verifier wants constant lengths, so each number has its
 * own call. */
static __always_inline long store_inner_l2(struct __sk_buff *skb, __u32 offset, struct inner_l2 *l2, int tags) {
    long err = bpf_skb_store_bytes(skb, offset, l2->addresses, 12, 0);

    if (tags > 0)
        err |= bpf_skb_store_bytes(skb, offset + 12, &l2->tags[0], VLAN_TAG_LEN, 0);
    if (tags > 1)
        err |= bpf_skb_store_bytes(skb, offset + 16, &l2->tags[1], VLAN_TAG_LEN, 0);
    return err | bpf_skb_store_bytes(skb, offset + 12 + tags * VLAN_TAG_LEN, &l2->protocol, 2, 0);
}

/* Room for the headers, in front of an IP packet: the stack learns that it is a tunnel, so that GSO goes on working. */
static __always_inline long make_tunnel_room(struct __sk_buff *skb, __u32 l2, bool keep_gso_size) {
    __u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                  BPF_F_ADJ_ROOM_ENCAP_L2((__u64)l2);

    if (keep_gso_size)
        flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
    return bpf_skb_adjust_room(skb, ERSPAN_HEADERS_LEN + l2, BPF_ADJ_ROOM_MAC, flags);
}

#define SHRINK_STEPS 3

/*
 * Makes the segments of a TCP super-packet smaller by `bytes`: the kernel takes room that is made off their size, and
 * leaves the size alone when the room is given back with FIXED_GSO.
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

/* Hop-by-hop header with nothing but a jumbo payload option (RFC 2675): next header, length 0, type, length 4, 32 bits.
 */
#define JUMBO_OPTION_LEN 8
#define JUMBO_OPTION_TYPE 0xc2

/*
 * IPv6 super-packets beyond 64 KiB have a jumbo payload option that the stack takes off when it makes segments, but not
 * where they are in a tunnel: it would send garbage. So it goes before; segments never had it. False: the kernel
 * refused.
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

/* Below this many bytes of payload a segment is not worth its headers. */
#define SMALLEST_SEGMENT 128

/*
 * How a super-packet leaves; returns a drop reason or -1. Where a segment and its outer headers fit into the MTU,
 * segments keep their size; else TCP segments become smaller. UDP datagrams cannot be cut differently.
 */
static __always_inline int plan_gso(struct __sk_buff *skb, __u32 mtu, int tags, struct outer_size *outer) {
    __u32 room = ERSPAN_HEADERS_LEN + ETH_HEADER_LEN + tags * VLAN_TAG_LEN;
    __u32 segment = skb->gso_size;
    __u32 transport = TRANSPORT_OTHER;
    __u32 headers = header_length(skb, &transport);
    __u32 overhead = headers + ERSPAN_HEADERS_LEN + tags * VLAN_TAG_LEN; /* of an outer IP packet over its payload */
    __u32 payload;

    if (!headers || skb->len <= headers)
        return DROP_GSO_UNSUPPORTED;
    outer->keep_gso_size = overhead + segment <= mtu;
    if (!outer->keep_gso_size) {
        if (transport != TRANSPORT_TCP)
            return DROP_GSO_UNSUPPORTED;
        if (segment > room && overhead + segment - room <= mtu) {
            segment -= room; /* by making room for the headers */
        } else {
            if (mtu < overhead + SMALLEST_SEGMENT || shrink_segments(skb, overhead + segment - mtu))
                return DROP_TOO_BIG_FOR_UNDERLAY;
            segment = mtu - overhead;
            outer->keep_gso_size = true;
        }
    }
    payload = skb->len - headers;
    outer->packets = segments_of(payload, segment);
    outer->bytes = payload + (__u64)outer->packets * (headers + room);
    return -1;
}

static __always_inline void fill_headers(struct erspan_headers *headers, struct delivery *delivery, __u32 sequence,
                                         __u32 ip_length, __be32 word, __u32 index) {
    __builtin_memset(headers, 0, sizeof(*headers));
    headers->ip.version = 4;
    headers->ip.ihl = 5;
    headers->ip.tot_len = ip_length > 0xffff ? 0 : bpf_htons(ip_length); /* segments get their own */
    headers->ip.frag_off = bpf_htons(0x4000);                            /* do not fragment */
    headers->ip.ttl = 64;
    headers->ip.protocol = IPPROTO_GRE;
    headers->ip.saddr = delivery->source_address;
    headers->ip.daddr = delivery->address;
    headers->ip.check = ip_checksum(&headers->ip);
    headers->gre_flags = bpf_htons(GRE_FLAG_SEQUENCE);
    headers->gre_protocol = bpf_htons(GRE_PROTOCOL_ERSPAN);
    headers->sequence = bpf_htonl(sequence);
    headers->word = word;
    headers->index = bpf_htonl(index);
}

static __always_inline int to_node(struct __sk_buff *skb, struct copy_context *copy, struct delivery *delivery) {
    struct erspan_headers headers;
    struct inner_l2 l2 = {};
    struct outer_size outer = {.packets = 1};
    __u32 super = skb->gso_size; /* not 0 for a super-packet; read once, for the verifier */
    bool truncated = false;
    __u32 tag_bytes;
    __u64 *sequence;
    __u16 tci;
    bool ip;
    int tags;
    int reason;

    tags = pop_tags(skb, l2.tags);
    if (tags < 0 || tags > MAX_TAGS)
        return drop(copy, DROP_VLAN_UNSUPPORTED);
    tag_bytes = tags * VLAN_TAG_LEN;
    /*
     * A frame that ends within an IP header gets no tunnel: on a virtual underlay the receiver would find it as one,
     * and the kernel pads no tunnel, as it has to be done there (see strip).
     */
    ip = is_ip(skb);
    if (super) {
        if (!ip || !strip_jumbo_option(skb))
            return drop(copy, DROP_GSO_UNSUPPORTED);
        reason = plan_gso(skb, delivery->mtu, tags, &outer);
        if (reason >= 0)
            return drop(copy, reason);
    } else if (skb->len + tag_bytes + ERSPAN_HEADERS_LEN > delivery->mtu) {
        if (cut(skb, copy, delivery->mtu - ERSPAN_HEADERS_LEN - tag_bytes))
            return drop(copy, DROP_ENCAP_FAILED);
        truncated = true;
    }
    if (bpf_skb_load_bytes(skb, 0, l2.addresses, 12) ||
        bpf_skb_load_bytes(skb, ETH_HEADER_LEN - 2, &l2.protocol, sizeof(l2.protocol)))
        return drop(copy, DROP_ENCAP_FAILED);
    /* The kernel knows one level of encapsulation: a packet that has it already goes as other frames do. */
    if (ip && make_tunnel_room(skb, ETH_HEADER_LEN + tag_bytes, outer.keep_gso_size))
        ip = false;
    if (!ip) {
        if (super)
            return drop(copy, DROP_GSO_UNSUPPORTED);
        if (!delivery->has_next_hop)
            return drop(copy, DROP_NO_NEIGHBOUR);
        if (bpf_skb_change_head(skb, ERSPAN_HEADERS_LEN + ETH_HEADER_LEN + tag_bytes, 0))
            return drop(copy, DROP_ENCAP_FAILED);
    }
    if (!super)
        outer.bytes = skb->len;

    sequence = bpf_map_lookup_elem(&delivery_sequences, &delivery->slot);
    if (!sequence)
        return drop(copy, DROP_NO_DELIVERY);
    tci = tags ? bpf_ntohs(l2.tags[0].tci) : 0;
    fill_headers(&headers, delivery, __sync_fetch_and_add(sequence, 1), skb->len - ETH_HEADER_LEN,
                 erspan_word(tci, tags > 0, truncated | copy->truncated, delivery->session),
                 index_with_generation(copy->erspan_index, delivery->generation));
    if (bpf_skb_store_bytes(skb, ETH_HEADER_LEN, &headers, sizeof(headers), 0) ||
        store_inner_l2(skb, ETH_HEADER_LEN + ERSPAN_HEADERS_LEN, &l2, tags))
        return drop(copy, DROP_ENCAP_FAILED);
    if (copy->part != PART_FIRST) /* it is one packet, however many carry it */
        count_copied(copy, truncated);
    count_sent(delivery->slot, outer.packets, outer.bytes);
    /* Also in front of bpf_redirect_neigh, which drops a frame that was multicast or broadcast. */
    bpf_skb_store_bytes(skb, 0, delivery->destination_mac, 6, 0);
    skb->mark = 0; /* the original's, which must not route the copy */
    if (ip)        /* the kernel finds the next hop, and waits for its address where it has to */
        return bpf_redirect_neigh(delivery->ifindex, NULL, 0, 0);
    l2.protocol = bpf_htons(ETH_P_IP);
    bpf_skb_store_bytes(skb, 6, delivery->source_mac, 6, 0);
    bpf_skb_store_bytes(skb, 12, &l2.protocol, sizeof(l2.protocol), 0);
    return bpf_redirect(delivery->ifindex, 0);
}

/* True where a frame with its outer headers is too long for the underlay. Super-packets are cut by the stack. */
static __always_inline bool is_oversize(struct __sk_buff *skb, __u32 mtu) {
    __u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;

    return !skb->gso_size && skb->len + tag + ERSPAN_HEADERS_LEN > mtu;
}

/*
 * Sends the first half of a segment by way of this very program, and leaves the second half in `skb`. False where the
 * copy has ended here, and is counted.
 */
static __always_inline bool send_first_half(struct __sk_buff *skb, struct copy_context *copy) {
    copy->part = PART_FIRST;
    copy->handled = 0;
    copy->failed = 0;
    bpf_clone_redirect(skb, skb->ifindex, 0);
    copy->part = PART_SECOND;
    if (!copy->handled) {
        copy->handled = 1;
        drop(copy, DROP_CLONE_FAILED);
        return false;
    }
    if (copy->failed)
        return false;
    if (make_half(skb, copy, true)) {
        drop(copy, DROP_ENCAP_FAILED);
        return false;
    }
    return true;
}

static __always_inline int transform(struct __sk_buff *skb) {
    struct copy_context *copy = this_copy();
    struct delivery *delivery;

    /* Whatever else the host sends into the helper device ends here. */
    if (!copy || !copy->active || copy->handled)
        return TC_ACT_SHOT;
    copy->handled = 1;
    delivery = bpf_map_lookup_elem(&deliveries, &copy->delivery);
    if (!delivery)
        return drop(copy, DROP_NO_DELIVERY);
    if (is_gone(skb, delivery->ifindex))
        return drop(copy, DROP_DESTINATION_DOWN);
    skb->priority = COPY_PRIORITY;
    if (delivery->kind == DELIVERY_EDGE)
        return to_edge(skb, copy, delivery);
    if (delivery->kind == DELIVERY_ERSPAN) {
        if (copy->part == PART_FIRST && make_half(skb, copy, false))
            return drop(copy, DROP_ENCAP_FAILED);
        if (copy->part == PART_WHOLE && is_oversize(skb, delivery->mtu) &&
            plan_split(skb, copy, delivery->mtu - ERSPAN_HEADERS_LEN - (skb->vlan_present ? VLAN_TAG_LEN : 0)) &&
            !send_first_half(skb, copy))
            return TC_ACT_SHOT;
        return to_node(skb, copy, delivery);
    }
    return drop(copy, DROP_DESTINATION_DOWN);
}

#endif
