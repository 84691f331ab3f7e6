/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * transform: does all work on copies, at the egress of the helper device, within the clone_redirect
 * of `capture`.
 */
#ifndef MIRRORPLANE_TRANSFORM_H
#define MIRRORPLANE_TRANSFORM_H

#include "counters.h"
#include "cut.h"
#include "erspan.h"
#include "feedback.h"
#include "next-hop.h"
#include "packet.h"
#include "probe.h"
#include "sent.h"
#include "sequence.h"
#include "split.h"
#include "super.h"

#define MAX_TAGS 2

struct vlan_tag {
    __be16 protocol;
    __be16 tci;
};

/*
 * Removes the tags, the outermost first. A tag in metadata would get onto the outer frame, and
 * bpf_skb_vlan_pop turns the next tag of the frame into metadata. Returns their number, or -1 if a
 * tag remains.
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

/* Adds the tags again. */
static __always_inline long push_tags(struct __sk_buff *skb, struct vlan_tag tags[MAX_TAGS], int count) {
    if (count > 1 && bpf_skb_vlan_push(skb, tags[1].protocol, bpf_ntohs(tags[1].tci)))
        return -1;
    return count > 0 ? bpf_skb_vlan_push(skb, tags[0].protocol, bpf_ntohs(tags[0].tci)) : 0;
}

/*
 * Everything in front of the copy's own packet, as it leaves: one call writes it. The padding aligns
 * the headers, for the verifier. Only the first 14 to 22 bytes of `inner` are written.
 */
struct outer_headers {
    __u8 padding[2];
    __u8 ethernet[ETH_HEADER_LEN];
    struct erspan_headers erspan;
    __u8 addresses[12]; /* from here on, what the copy began with: addresses, tags, protocol */
    __be16 rest[5];
};

/* Ethernet header and tags of the copy, as they were in the original. */
struct inner_l2 {
    __u8 addresses[12];
    __be16 protocol;
    struct vlan_tag tags[MAX_TAGS];
};

/*
 * Writes all headers. The verifier needs constant lengths, so each number of tags has its own call.
 */
static __always_inline long store_headers(struct __sk_buff *skb, struct outer_headers *outer, struct inner_l2 *l2,
                                          int tags) {
    const __u32 length = ETH_HEADER_LEN + ERSPAN_HEADERS_LEN + ETH_HEADER_LEN;
    __be16 *rest = outer->rest;

    __builtin_memset(outer->padding, 0, sizeof(outer->padding));
    outer->ethernet[12] = ETH_P_IP >> 8;
    outer->ethernet[13] = ETH_P_IP & 0xff;
    __builtin_memcpy(outer->addresses, l2->addresses, sizeof(outer->addresses));
    if (tags > 1) {
        rest[0] = l2->tags[0].protocol;
        rest[1] = l2->tags[0].tci;
        rest[2] = l2->tags[1].protocol;
        rest[3] = l2->tags[1].tci;
        rest[4] = l2->protocol;
        return bpf_skb_store_bytes(skb, 0, outer->ethernet, length + 2 * VLAN_TAG_LEN, 0);
    }
    if (tags > 0) {
        rest[0] = l2->tags[0].protocol;
        rest[1] = l2->tags[0].tci;
        rest[2] = l2->protocol;
        return bpf_skb_store_bytes(skb, 0, outer->ethernet, length + VLAN_TAG_LEN, 0);
    }
    rest[0] = l2->protocol;
    return bpf_skb_store_bytes(skb, 0, outer->ethernet, length, 0);
}

/*
 * Makes room for the headers in front of an IP packet. The stack learns that it is a tunnel, so
 * that GSO still works.
 */
static __always_inline long make_tunnel_room(struct __sk_buff *skb, __u32 l2, bool keep_gso_size) {
    __u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                  BPF_F_ADJ_ROOM_ENCAP_L2((__u64)l2);

    if (keep_gso_size)
        flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
    return bpf_skb_adjust_room(skb, ERSPAN_HEADERS_LEN + l2, BPF_ADJ_ROOM_MAC, flags);
}

/*
 * Makes room for the headers in front of any other frame. It must become an IP packet for the
 * kernel too, because bpf_redirect_neigh refuses other protocols. No helper sets the protocol, but
 * the removal of a tag does: vlan_set_encap_proto() in include/linux/if_vlan.h reads the type after
 * the tag.
 */
static __always_inline long make_room(struct __sk_buff *skb, __u32 l2) {
    __be16 protocol = bpf_htons(ETH_P_IP);

    return bpf_skb_change_head(skb, ERSPAN_HEADERS_LEN + l2, 0) ||
           bpf_skb_store_bytes(skb, ETH_HEADER_LEN - 2, &protocol, sizeof(protocol), 0) ||
           /* The second push moves the first tag into the frame. */
           bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) ||
           bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb);
}

static __always_inline void fill_headers(struct erspan_headers *headers, struct delivery *delivery, __u32 sequence,
                                         __u32 ip_length, __be32 word, __u32 index) {
    __builtin_memset(headers, 0, sizeof(*headers));
    headers->ip.version = 4;
    headers->ip.ihl = 5;
    headers->ip.tot_len = ip_length > 0xffff ? 0 : bpf_htons(ip_length); /* segments get their own */
    headers->ip.frag_off = bpf_htons(0x4000);                            /* do not fragment */
    headers->ip.ttl = COPY_TTL;
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

/* A super-packet that cannot be wrapped as it is. */
static __always_inline int by_segments(struct __sk_buff *skb, struct copy_context *copy, struct delivery *delivery,
                                       struct vlan_tag tags[MAX_TAGS], int count, enum drop_reason reason) {
    if (push_tags(skb, tags, count))
        return drop(copy, reason);
    return send_segments(skb, copy, delivery->segmenter, reason);
}

static __always_inline int to_node(struct __sk_buff *skb, struct copy_context *copy, struct delivery *delivery) {
    struct outer_headers headers;
    struct inner_l2 l2 = {};
    struct outer_size outer = {.packets = 1};
    __u32 super = skb->gso_size; /* not 0 for a super-packet; read once, for the verifier */
    bool truncated = false;
    __u32 tag_bytes;
    struct way way;
    __u32 sequence;
    __u16 tci;
    bool ip;
    int tags;
    int reason;

    tags = pop_tags(skb, l2.tags);
    if (tags < 0 || tags > MAX_TAGS)
        return drop(copy, DROP_VLAN_UNSUPPORTED);
    tag_bytes = tags * VLAN_TAG_LEN;
    /*
     * A frame that ends within an IP header is not marked as a tunnel. On a virtual underlay the
     * receiver would get this mark, and the kernel pads no packet in a tunnel, but the receiver
     * must pad it (see strip).
     */
    ip = is_ip(skb);
    if (super) {
        reason = ip && strip_jumbo_option(skb) ? plan_gso(skb, delivery, tags, &outer) : DROP_GSO_UNSUPPORTED;
        if (reason >= 0)
            return by_segments(skb, copy, delivery, l2.tags, tags, reason);
    } else if (skb->len + tag_bytes + ERSPAN_HEADERS_LEN > delivery->mtu) {
        if (cut(skb, copy, delivery->mtu - ERSPAN_HEADERS_LEN - tag_bytes))
            return drop(copy, DROP_ENCAP_FAILED);
        truncated = true;
    }
    if (bpf_skb_load_bytes(skb, 0, l2.addresses, ETH_HEADER_LEN)) /* and the protocol */
        return drop(copy, DROP_ENCAP_FAILED);
    /*
     * The kernel supports one level of encapsulation. A packet that is already in a tunnel is
     * handled as other frames.
     */
    if (ip && make_tunnel_room(skb, ETH_HEADER_LEN + tag_bytes, outer.keep_gso_size))
        ip = false;
    if (!ip) {
        if (super)
            return by_segments(skb, copy, delivery, l2.tags, tags, DROP_GSO_UNSUPPORTED);
        if (make_room(skb, ETH_HEADER_LEN + tag_bytes))
            return drop(copy, DROP_ENCAP_FAILED);
    }
    if (!super)
        outer.bytes = skb->len;

    if (!next_number(delivery, copy->probe ? 0 : outer.packets, &sequence))
        return drop(copy, DROP_NO_DELIVERY);
    tci = tags ? bpf_ntohs(l2.tags[0].tci) : 0;
    fill_headers(&headers.erspan, delivery, sequence, skb->len - ETH_HEADER_LEN,
                 erspan_word(tci, tags > 0, truncated | copy->truncated, delivery->session),
                 index_with_proof(copy->erspan_index, delivery->proof) | copy->probe);
    way = way_of(skb, delivery);
    if (way.linked)
        __builtin_memcpy(headers.ethernet, way.hop->link, sizeof(way.hop->link));
    else
        __builtin_memset(headers.ethernet, 0, sizeof(way.hop->link)); /* unicast, see to_next_hop */
    if (store_headers(skb, &headers, &l2, tags))
        return drop(copy, DROP_ENCAP_FAILED);
    if (copy->part != PART_CLONE) /* it is one packet in several parts */
        count_copied(copy, truncated);
    count_left(copy, delivery->slot, outer.packets, outer.bytes);
    return to_next_hop(skb, delivery, way);
}

/*
 * Sends a copy into a local device, or out of an edge device with the policy's tag. An existing tag
 * of the frame stays inside, as in 802.1ad.
 */
static __always_inline int to_device(struct __sk_buff *skb, struct copy_context *copy, struct delivery *delivery) {
    __u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
    __u32 pushed = delivery->kind == DELIVERY_EDGE ? VLAN_TAG_LEN : 0;
    struct wire_size size;

    measure(skb, &size);
    if (!fits(longest_frame(skb, size.headers), delivery->mtu)) {
        __u32 segment = 0;
        if (size.transport == TRANSPORT_TCP)
            segment = fit_segments(skb, size.headers, delivery->mtu + ETH_HEADER_LEN);
        if (!segment)
            return drop(copy, DROP_TOO_BIG_FOR_DESTINATION);
        size.packets = segments_of(skb->len - size.headers, segment);
        size.bytes = skb->len + tag + (size.packets - 1) * (size.headers + tag);
    }
    if (pushed) {
        if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), delivery->vlan_id))
            return drop(copy, DROP_VLAN_UNSUPPORTED);
        remember_sent(skb, delivery->vlan_id);
    } else {
        if (note_source(skb, copy, delivery->ifindex, copy->delivery))
            return drop(copy, DROP_FEEDBACK);
        if (bpf_clone_redirect(skb, delivery->ifindex, 0)) /* a redirect would not report a refusal */
            return drop(copy, DROP_DESTINATION_DOWN);
    }
    if (copy->part != PART_CLONE)
        count_copied(copy, false);
    count_left(copy, delivery->slot, size.packets, size.bytes + (__u64)size.packets * pushed);
    return pushed ? bpf_redirect(delivery->ifindex, 0) : TC_ACT_SHOT;
}

/*
 * True if a frame does not fit into the underlay with its outer headers, or into the destination.
 */
static __always_inline bool is_too_long(struct __sk_buff *skb, struct delivery *delivery) {
    __u32 length = skb->len + (skb->vlan_present ? VLAN_TAG_LEN : 0);

    if (skb->gso_size)
        return false;
    if (delivery->kind != DELIVERY_ERSPAN)
        return !fits(length, delivery->mtu);
    return length + ERSPAN_HEADERS_LEN > delivery->mtu ||
           (delivery->destination_mtu && !fits(length, delivery->destination_mtu));
}

/* The greatest length of parts of a TCP segment, without a metadata tag. */
static __always_inline __u32 part_limit(struct __sk_buff *skb, struct delivery *delivery) {
    __u32 limit = delivery->mtu - ERSPAN_HEADERS_LEN - (skb->vlan_present ? VLAN_TAG_LEN : 0);

    if (delivery->kind != DELIVERY_ERSPAN)
        return delivery->mtu + ETH_HEADER_LEN;
    if (delivery->destination_mtu && delivery->destination_mtu + ETH_HEADER_LEN < limit)
        return delivery->destination_mtu + ETH_HEADER_LEN;
    return limit;
}

/*
 * Sends all parts of a segment but the last through this program, and leaves the last part in
 * `skb`. False if the copy has ended here, and is counted.
 */
__global bool send_parts(struct __sk_buff *skb, struct copy_context *copy) {
    if (!copy)
        return false;
    for (__u32 i = 0; i < SPLIT_PARTS_MAX - 1; i++) {
        if (i + 1 >= copy->split.parts)
            break;
        copy->split.index = i;
        copy->part = PART_CLONE;
        copy->handled = 0;
        copy->failed = 0;
        bpf_clone_redirect(skb, skb->ifindex, 0);
        copy->part = PART_WHOLE;
        if (!copy->handled) {
            copy->handled = 1;
            drop(copy, DROP_CLONE_FAILED);
            return false;
        }
        if (copy->failed)
            return false;
    }
    copy->split.index = copy->split.parts - 1;
    if (make_part(skb, copy)) {
        drop(copy, DROP_ENCAP_FAILED);
        return false;
    }
    return true;
}

static __always_inline int transform(struct __sk_buff *skb) {
    struct copy_context *copy = this_copy();
    struct delivery *delivery;
    bool segment;

    if (!copy)
        return TC_ACT_SHOT;
    if (!copy->active)
        return make_probe(skb, copy);
    segment = copy->segmenting && copy->part == PART_WHOLE;
    if (copy->handled && !segment)
        return TC_ACT_SHOT;
    copy->handled = 1;
    if (segment)
        take_segment(skb, copy);
    delivery = bpf_map_lookup_elem(&deliveries, &copy->delivery);
    if (!delivery)
        return drop(copy, DROP_NO_DELIVERY);
    if (is_gone(skb, delivery->ifindex))
        return drop(copy, DROP_DESTINATION_DOWN);
    if (copy->part == PART_CLONE) {
        if (make_part(skb, copy))
            return drop(copy, DROP_ENCAP_FAILED);
    } else if (is_too_long(skb, delivery) && plan_split(skb, copy, part_limit(skb, delivery)) &&
               !send_parts(skb, copy)) {
        return TC_ACT_SHOT;
    }
    if (delivery->kind == DELIVERY_LOCAL)
        return to_device(skb, copy, delivery);
    skb->priority = COPY_PRIORITY;
    return delivery->kind == DELIVERY_EDGE ? to_device(skb, copy, delivery) : to_node(skb, copy, delivery);
}

#endif
