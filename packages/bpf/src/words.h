/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * words: whether a frame is one that a look asks for. User space has made comparisons of the words,
 * each with the next one for yes and for no, as packages/agent/src/datapath/words.ts says.
 */
#ifndef MIRRORPLANE_WORDS_H
#define MIRRORPLANE_WORDS_H

#include "packet.h"

#ifndef ETH_P_RARP
#define ETH_P_RARP 0x8035
#endif

#define NEXT_FRAGMENT 44
#define IP_OFFSET_MASK 0x1fff
#define FRAME_TAGS 2

/* What of a frame can be asked for. Tags are looked through. */
struct frame {
    __u32 source[4]; /* network byte order; of IPv4 and ARP the first word */
    __u32 target[4];
    __u16 ethertype; /* behind the tags */
    __u16 vlan_id;   /* outermost; LOOK_ANY_VLAN: there is no tag */
    __u16 source_port;
    __u16 target_port;
    __u8 family;    /* of the addresses: 4 or 6; 0: there are none */
    __u8 is_ip;     /* the next two are known */
    __u8 protocol;  /* of IP; the first next header of IPv6 */
    __u8 fragment;  /* behind an IPv6 header for fragments: the protocol */
    __u8 has_ports; /* of TCP, UDP or SCTP */
    __u8 padding[3];
};

static __always_inline void read_ports(struct __sk_buff *skb, struct frame *frame, __u32 offset) {
    __u16 ports[2];

    if (frame->protocol != IPPROTO_TCP && frame->protocol != IPPROTO_UDP && frame->protocol != IPPROTO_SCTP)
        return;
    if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
        return;
    frame->source_port = bpf_ntohs(ports[0]);
    frame->target_port = bpf_ntohs(ports[1]);
    frame->has_ports = 1;
}

static __always_inline void read_ipv4(struct __sk_buff *skb, struct frame *frame, __u32 offset) {
    struct iphdr header;

    if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
        return;
    frame->family = 4;
    frame->is_ip = 1;
    frame->protocol = header.protocol;
    frame->source[0] = header.saddr;
    frame->target[0] = header.daddr;
    if (!(bpf_ntohs(header.frag_off) & IP_OFFSET_MASK))
        read_ports(skb, frame, offset + header.ihl * 4);
}

static __always_inline void read_ipv6(struct __sk_buff *skb, struct frame *frame, __u32 offset) {
    if (bpf_skb_load_bytes(skb, offset + 6, &frame->protocol, 1) ||
        bpf_skb_load_bytes(skb, offset + 8, frame->source, 16) ||
        bpf_skb_load_bytes(skb, offset + 24, frame->target, 16))
        return;
    frame->family = 6;
    frame->is_ip = 1;
    if (frame->protocol == NEXT_FRAGMENT)
        bpf_skb_load_bytes(skb, offset + 40, &frame->fragment, 1);
    read_ports(skb, frame, offset + 40);
}

static __always_inline void read_arp(struct __sk_buff *skb, struct frame *frame, __u32 offset) {
    if (bpf_skb_load_bytes(skb, offset + 14, frame->source, 4) ||
        bpf_skb_load_bytes(skb, offset + 24, frame->target, 4))
        return;
    frame->family = 4;
}

/* `frame` has zeros. */
__global int read_frame(struct __sk_buff *skb, struct frame *frame) {
    __u32 offset = ETH_HEADER_LEN;
    __u16 protocol;
    __u16 tag;

    if (!frame)
        return 0;
    frame->vlan_id = skb->vlan_present ? skb->vlan_tci & VLAN_ID_MASK : LOOK_ANY_VLAN;
    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN - 2, &protocol, sizeof(protocol)))
        return 0;
#pragma unroll
    for (int i = 0; i < FRAME_TAGS; i++) {
        if (!is_vlan_protocol(protocol))
            break;
        if (bpf_skb_load_bytes(skb, offset, &tag, sizeof(tag)) ||
            bpf_skb_load_bytes(skb, offset + 2, &protocol, sizeof(protocol)))
            return 0;
        if (frame->vlan_id == LOOK_ANY_VLAN)
            frame->vlan_id = bpf_ntohs(tag) & VLAN_ID_MASK;
        offset += VLAN_TAG_LEN;
    }
    frame->ethertype = bpf_ntohs(protocol);
    if (frame->ethertype == ETH_P_IP)
        read_ipv4(skb, frame, offset);
    else if (frame->ethertype == ETH_P_IPV6)
        read_ipv6(skb, frame, offset);
    else if (frame->ethertype == ETH_P_ARP || frame->ethertype == ETH_P_RARP)
        read_arp(skb, frame, offset);
    return 0;
}

static __always_inline bool is_of_net(const __u32 *address, const struct look_term *term) {
    return !((address[0] & term->mask[0]) ^ term->address[0]) && !((address[1] & term->mask[1]) ^ term->address[1]) &&
           !((address[2] & term->mask[2]) ^ term->address[2]) && !((address[3] & term->mask[3]) ^ term->address[3]);
}

/* One comparison. */
__global bool is_true(struct look_term *term, struct frame *frame) {
    if (!term || !frame)
        return false;
    switch (term->kind) {
    case TERM_ETHERTYPE:
        return frame->ethertype == term->number;
    case TERM_PROTOCOL:
        return frame->is_ip && (!term->ethertype || frame->ethertype == term->ethertype) &&
               (frame->protocol == term->number || (frame->protocol == NEXT_FRAGMENT &&
                                                    frame->ethertype == ETH_P_IPV6 && frame->fragment == term->number));
    case TERM_ADDRESS:
        return frame->family == term->family && ((term->sides & SIDE_SOURCE && is_of_net(frame->source, term)) ||
                                                 (term->sides & SIDE_TARGET && is_of_net(frame->target, term)));
    case TERM_PORT:
        return frame->has_ports && (!term->protocol || frame->protocol == term->protocol) &&
               ((term->sides & SIDE_SOURCE && frame->source_port == term->number) ||
                (term->sides & SIDE_TARGET && frame->target_port == term->number));
    case TERM_VLAN:
        return frame->vlan_id != LOOK_ANY_VLAN && (term->number == LOOK_ANY_VLAN || frame->vlan_id == term->number);
    }
    return false;
}

/* All comparisons: each leads to a later one, so there are as many steps as terms at most. */
static __always_inline bool is_asked_for(struct look *look, struct frame *frame) {
    __u32 at = look->first;

    for (__u32 i = 0; i < LOOK_TERMS; i++) {
        struct look_term *term;

        if (at >= LOOK_TERMS)
            break;
        forget(at);
        term = &look->terms[at & (LOOK_TERMS - 1)];
        at = is_true(term, frame) ? term->yes : term->no;
    }
    return at == LOOK_YES;
}

#endif
