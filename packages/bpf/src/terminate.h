/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * terminate: strips and delivers ERSPAN if sender, own address, session, proof, device and TTL
 * match a termination of the program. Other ERSPAN of our nodes to this node is counted and dropped
 * here, because the stack would answer with a message that quotes the copy. All other packets are
 * ignored.
 */
#ifndef MIRRORPLANE_TERMINATE_H
#define MIRRORPLANE_TERMINATE_H

#include "counters.h"
#include "erspan.h"
#include "feedback.h"
#include "hold.h"
#include "next-hop.h"
#include "packet.h"
#include "place.h"
#include "probe.h"
#include "relay.h"
#include "sequence.h"
#include "sent.h"

/* BPF_F_ADJ_ROOM_DECAP_L3_IPV6, of 6.3 and newer than the headers of Debian 12. */
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)

static __always_inline int refuse(struct termination_counters *counters, struct wire_size *size,
                                  enum termination_drop reason) {
    add(&counters->dropped[reason], size->packets, size->bytes);
    return TC_ACT_SHOT;
}

/*
 * Size of the copies inside. On a virtual underlay a whole super-packet may arrive in one piece,
 * with its headers once. It counts as the segments that a physical underlay would have carried.
 */
static __always_inline void measure_inner(struct __sk_buff *skb, struct wire_size *size) {
    __u32 outer = ETH_HEADER_LEN + ERSPAN_HEADERS_LEN;
    __u32 transport;
    __u32 headers;

    size->packets = 1;
    size->headers = 0;
    size->bytes = skb->len - outer;
    if (!skb->gso_size)
        return;
    headers = header_length(skb, outer, &transport);
    if (!headers || skb->len <= outer + headers)
        return;
    size->headers = headers;
    size->packets = segments_of(skb->len - outer - headers, skb->gso_size);
    size->bytes += (size->packets - 1) * headers;
}

/*
 * Whether the outer packet is complete. Padding of Ethernet is removed, so that it does not become
 * a part of the copy. A super-packet (only on virtual underlays) has the total length, or 0 if 16
 * bits are too few for it.
 */
static __always_inline bool is_whole(struct __sk_buff *skb, struct erspan_headers *headers) {
    __u32 length = bpf_ntohs(headers->ip.tot_len);

    if (ip_checksum(&headers->ip))
        return false;
    if (skb->gso_size)
        return true;
    if (length < ERSPAN_HEADERS_LEN + ETH_HEADER_LEN || length + ETH_HEADER_LEN > skb->len)
        return false;
    return length + ETH_HEADER_LEN == skb->len || !bpf_skb_change_tail(skb, length + ETH_HEADER_LEN, 0);
}

/*
 * Removes `removed` bytes after the Ethernet header. `to_ipv6`: tells the kernel that IPv6 remains.
 * Otherwise it would segment a super-packet as IPv4. Before Linux 6.3, a change of the protocol
 * does this. It makes room for a longer header, which is then removed with the other bytes.
 */
static __always_inline long uncover(struct __sk_buff *skb, __u32 removed, bool to_ipv6) {
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

    if (!to_ipv6)
        return bpf_skb_adjust_room(skb, -(__s32)removed, BPF_ADJ_ROOM_MAC, flags);
    if (!bpf_skb_adjust_room(skb, -(__s32)removed, BPF_ADJ_ROOM_MAC, flags | ADJ_ROOM_DECAP_L3_IPV6))
        return 0;
    removed += 40 - sizeof(struct iphdr);
    return bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0) ||
           bpf_skb_adjust_room(skb, -(__s32)removed, BPF_ADJ_ROOM_MAC, flags);
}

/*
 * Removes the outer headers and the inner Ethernet header. The outer Ethernet header becomes the
 * inner one.
 */
static __always_inline bool strip(struct __sk_buff *skb) {
    __u32 removed = ERSPAN_HEADERS_LEN + ETH_HEADER_LEN;
    __u32 length = skb->len;
    __u32 least = removed + ETH_HEADER_LEN + sizeof(struct iphdr);
    __u8 ethernet[ETH_HEADER_LEN];
    __u16 protocol;

    /* A tag of the outer frame is metadata, and would become a tag of the copy. */
    if (skb->vlan_present && bpf_skb_vlan_pop(skb))
        return false;
    if (bpf_skb_load_bytes(skb, removed, ethernet, sizeof(ethernet)))
        return false;
    protocol = ethernet[12] << 8 | ethernet[13];
    if (skb->gso_size && protocol != ETH_P_IP && protocol != ETH_P_IPV6)
        return false; /* it could not be segmented: skb->protocol would stay IPv4 */
    /* The kernel leaves at least an IP header, so a shorter frame is padded temporarily. */
    if (length < least && bpf_skb_change_tail(skb, least, 0))
        return false;
    if (uncover(skb, removed, skb->gso_size && protocol == ETH_P_IPV6) ||
        bpf_skb_store_bytes(skb, 0, ethernet, sizeof(ethernet), 0))
        return false;
    return skb->len == length - removed || !bpf_skb_change_tail(skb, length - removed, 0);
}

/*
 * Sends the inner copy into its device. A clone is sent and not the packet itself: a redirect takes
 * place after the program has returned, so a refusal of the device would not be seen. `active`
 * prevents a capture at this device from copying it.
 */
static __always_inline int deliver(struct __sk_buff *skb, struct termination *termination,
                                   struct erspan_headers *headers, struct termination_counters *counters,
                                   struct copy_context *copy, struct wire_size *size) {
    __u32 length = skb->gso_size ? longest_frame(skb, size->headers) : size->bytes;
    bool held = false;
    long verdict;

    if (!termination->ifindex)
        return refuse(counters, size, TERMINATION_DESTINATION_DOWN);
    if (!fits(length, termination->mtu))
        return refuse(counters, size, TERMINATION_TOO_BIG_FOR_DESTINATION);
    if (!strip(skb))
        return refuse(counters, size, TERMINATION_DECAP_FAILED);
    if (termination->kind == DELIVERY_EDGE && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), termination->vlan_id))
        return refuse(counters, size, TERMINATION_DECAP_FAILED);
    if (termination->kind == DELIVERY_EDGE) {
        skb->priority = COPY_PRIORITY;
        remember_sent(skb, termination->vlan_id);
    } else if (note_source(skb, copy, termination->ifindex, termination->delivery)) {
        return refuse(counters, size, TERMINATION_FEEDBACK);
    }
    copy->active = 1;
    if (termination->hold && !is_probe(headers)) {
        copy->delivery = termination->delivery;
        copy->erspan_index = bpf_ntohl(headers->index) & INDEX_SOURCE_MASK;
        copy->packets = size->packets;
        held = hold(skb, termination->ifindex, copy, bpf_ntohl(headers->word) >> ERSPAN_TRUNCATED_SHIFT & 1);
    }
    verdict = bpf_clone_redirect(skb, termination->ifindex, 0);
    copy->active = 0;
    if (verdict && !held)
        return refuse(counters, size, TERMINATION_DESTINATION_DOWN);
    add(&counters->delivered, size->packets, size->bytes);
    return TC_ACT_SHOT;
}

/* Relays the packet to the node where the destination is now. */
static __always_inline int relay(struct __sk_buff *skb, struct termination *termination, struct erspan_headers *headers,
                                 struct termination_counters *counters, struct wire_size *size) {
    struct delivery *delivery = bpf_map_lookup_elem(&deliveries, &termination->delivery);
    int reason = delivery ? readdress(skb, headers, delivery, size->packets) : TERMINATION_DESTINATION_DOWN;
    struct way way;

    if (reason >= 0)
        return refuse(counters, size, reason);
    way = way_of(skb, delivery);
    add(&counters->relayed, size->packets, size->bytes);
    count_sent(delivery->slot, size->packets, size->bytes + size->packets * (ETH_HEADER_LEN + ERSPAN_HEADERS_LEN));
    way.linked = false; /* the frame has the addresses that it came with */
    return to_next_hop(skb, delivery, way);
}

static __always_inline int unknown_erspan(void) {
    __u32 zero = 0;
    struct node_counters *counters = bpf_map_lookup_elem(&node_counters, &zero);

    if (counters)
        counters->unknown_erspan++;
    return TCX_NEXT;
}

/* True if the packet is for another host, and this node is a router on its way. */
static __always_inline bool is_on_its_way(struct __sk_buff *skb, struct erspan_headers *headers) {
    struct bpf_fib_lookup route = {.family = 2 /* AF_INET */, .ifindex = skb->ifindex};
    long result;

    route.ipv4_src = headers->ip.saddr;
    route.ipv4_dst = headers->ip.daddr;
    result = bpf_fib_lookup(skb, &route, sizeof(route), 0);
    return result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_NO_NEIGH ||
           result == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/* Drops ERSPAN of one of our nodes to this one, and counts it. */
static __always_inline int refuse_unproven(struct __sk_buff *skb, struct erspan_headers *headers,
                                           enum copy_refusal reason) {
    __u32 address = headers->ip.saddr;
    struct peer *peer = bpf_map_lookup_elem(&peers, &address);

    if (!peer)
        return unknown_erspan();
    if (is_on_its_way(skb, headers))
        return TCX_NEXT;
    __sync_fetch_and_add(&peer->refused[reason], 1);
    return TC_ACT_SHOT;
}

static __always_inline bool is_proven(struct __sk_buff *skb, struct termination *termination,
                                      struct erspan_headers *headers) {
    return termination && termination->own_address == headers->ip.daddr &&
           !((termination->proof ^ proof_of(headers)) & termination->proof_mask) &&
           termination->device == skb->ifindex && headers->ip.ttl >= termination->least_ttl;
}

/* Why it is not proven. `termination`: that of the sender and session, if it exists. */
static __always_inline enum copy_refusal why_unproven(struct __sk_buff *skb, struct termination *termination,
                                                      struct erspan_headers *headers) {
    if (!termination)
        return REFUSED_STALE_SESSION;
    if (termination->own_address != headers->ip.daddr)
        return REFUSED_WRONG_ADDRESS;
    if ((termination->proof ^ proof_of(headers)) & PROOF_GENERATION_MASK)
        return REFUSED_STALE_SESSION;
    if ((termination->proof ^ proof_of(headers)) & termination->proof_mask)
        return REFUSED_WRONG_SECRET;
    return termination->device != skb->ifindex ? REFUSED_WRONG_DEVICE : REFUSED_TOO_FAR;
}

#define FRAGMENT_MASK 0x3fff /* more fragments, and the offset */
#define FRAGMENT_OFFSET_MASK 0x1fff

/*
 * ERSPAN with IP options, or the first fragment of one. Later fragments do not tell what they are a
 * part of; without the first one they become no packet.
 */
static __always_inline bool is_odd_erspan(struct __sk_buff *skb, struct iphdr *ip) {
    __be16 protocol;

    if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_GRE ||
        ip->frag_off & bpf_htons(FRAGMENT_OFFSET_MASK) || (ip->ihl == 5 && !(ip->frag_off & bpf_htons(FRAGMENT_MASK))))
        return false;
    return !bpf_skb_load_bytes(skb, ETH_HEADER_LEN + ip->ihl * 4 + 2, &protocol, sizeof(protocol)) &&
           protocol == bpf_htons(GRE_PROTOCOL_ERSPAN);
}

/* Whether a packet comes out of a tunnel. Its own function, because of the stack, see verifier.h. */
__global bool is_tunnelled(struct __sk_buff *skb) {
    struct place *place = this_place();

    return place && (place->tunnels[0] == skb->ifindex || place->tunnels[1] == skb->ifindex);
}

/*
 * A packet out of a tunnel has no Ethernet header. It gets one, so that all else is the same.
 * False: it is no copy.
 */
__global bool give_ethernet(struct __sk_buff *skb) {
    __be16 protocol = bpf_htons(ETH_P_IP);

    return skb->protocol == protocol && !bpf_skb_change_head(skb, ETH_HEADER_LEN, 0) &&
           !bpf_skb_store_bytes(skb, ETH_HEADER_LEN - 2, &protocol, sizeof(protocol), 0);
}

static __always_inline int receive(struct __sk_buff *skb) {
    struct termination_counters *counters;
    struct termination *termination;
    struct termination_key key;
    struct erspan_headers headers;
    struct copy_context *copy;
    struct wire_size size;
    int verdict;
    bool whole;

    if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST)
        return TCX_NEXT;
    if (skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK) /* of a VLAN device on top of this one */
        return TCX_NEXT;
    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN, &headers, sizeof(headers)))
        return TCX_NEXT;
    if (headers.ip.version != 4 || headers.ip.ihl != 5 || headers.ip.protocol != IPPROTO_GRE ||
        headers.ip.frag_off & bpf_htons(FRAGMENT_MASK) || headers.gre_flags != bpf_htons(GRE_FLAG_SEQUENCE) ||
        headers.gre_protocol != bpf_htons(GRE_PROTOCOL_ERSPAN) || bpf_ntohl(headers.word) >> 28 != ERSPAN_VERSION_II)
        return is_odd_erspan(skb, &headers.ip) && is_in_place(skb) ? refuse_unproven(skb, &headers, REFUSED_ODD_HEADER)
                                                                   : TCX_NEXT;
    key.address = headers.ip.saddr;
    key.session_at_device = (bpf_ntohl(headers.word) & 0x03ff) | skb->ifindex << 10;
    termination = bpf_map_lookup_elem(&terminations, &key);
    if (!is_proven(skb, termination, &headers))
        return is_in_place(skb) ? refuse_unproven(skb, &headers, why_unproven(skb, termination, &headers)) : TCX_NEXT;
    if (!is_in_place_lately(skb, &termination->checked))
        return TCX_NEXT;
    counters = bpf_map_lookup_elem(&termination_counters, &termination->slot);
    copy = this_copy();
    if (!counters || !copy)
        return TC_ACT_SHOT;
    /* Not on the stack: with what `deliver` calls, that of 6.1 is full. */
    copy->sequence = bpf_ntohl(headers.sequence);
    copy->followed = termination->slot;
    if (is_probe(&headers)) {
        copy->followed = NO_SLOT;
        counters = probe_end(skb);
        if (!counters)
            return TC_ACT_SHOT;
    }
    whole = is_whole(skb, &headers);
    measure_inner(skb, &size);
    add(&counters->received, size.packets, size.bytes);
    if (!whole)
        verdict = refuse(counters, &size, TERMINATION_MALFORMED);
    else if (termination->kind == DELIVERY_ERSPAN && is_probe(&headers))
        verdict = refuse(counters, &size, TERMINATION_DESTINATION_DOWN);
    else if (termination->kind == DELIVERY_ERSPAN)
        verdict = relay(skb, termination, &headers, counters, &size);
    else
        verdict = deliver(skb, termination, &headers, counters, copy, &size);
    /* After the counters: a number that has come is a copy that is counted. */
    copy = this_copy();
    if (copy && copy->followed != NO_SLOT)
        follow_sequence(copy->followed, copy->sequence, size.packets);
    return verdict;
}

/* Nothing but copies comes out of a tunnel: all else is dropped. */
static __always_inline int terminate(struct __sk_buff *skb) {
    int verdict;

    if (is_tunnelled(skb) && !give_ethernet(skb))
        return TC_ACT_SHOT;
    verdict = receive(skb);
    return verdict == TCX_NEXT && is_tunnelled(skb) ? TC_ACT_SHOT : verdict;
}

#endif
