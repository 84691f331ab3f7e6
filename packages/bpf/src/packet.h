/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a packet: VLAN tags, length of the headers, size of a super-packet on the wire. */
#ifndef MIRRORPLANE_PACKET_H
#define MIRRORPLANE_PACKET_H

#include "skb.h"
#include "types.h"
#include "verifier.h"

/*
 * Priority of a copy that leaves the node: TC_PRIO_FILLER, the last band of pfifo_fast and prio.
 * Where VLAN devices map priorities one to one, it is the 802.1Q class "background". Packets of the
 * node itself do not wait for copies there.
 */
#define COPY_PRIORITY 1

#define ETH_HEADER_LEN 14
#define VLAN_TAG_LEN 4
#define VLAN_ID_MASK 0x0fff

/* One call adds or removes at most 4095 bytes (bpf_skb_adjust_room in net/core/filter.c). */
#define ROOM_STEP 4000
/* As many calls as a packet of 64 KiB needs. */
#define ROOM_STEPS 17

/* IPv6 extension headers (RFC 8200). linux/in6.h cannot be included together with linux/in.h. */
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_DESTINATION 60

enum transport {
    TRANSPORT_OTHER = 0,
    TRANSPORT_TCP = IPPROTO_TCP,
    TRANSPORT_UDP = IPPROTO_UDP,
};

/* Size of a packet on the wire. */
struct wire_size {
    __u32 packets;   /* segments of a super-packet, else 1 */
    __u32 bytes;     /* of all their Ethernet frames, tags included */
    __u32 headers;   /* Ethernet to TCP or UDP; 0: no super-packet, or unreadable */
    __u32 transport; /* enum transport; only for super-packets */
};

static __always_inline bool is_vlan_protocol(__u16 protocol) {
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Whether the kernel treats the frame as an IP packet: it has at least the smallest IP header. */
static __always_inline bool is_ip(struct __sk_buff *skb) {
    return (skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6)) &&
           skb->len >= ETH_HEADER_LEN + sizeof(struct iphdr);
}

/* Whether a device no longer exists in the network namespace of this packet. */
static __always_inline bool is_gone(struct __sk_buff *skb, __u32 ifindex) {
    __u32 mtu = 0;

    return !ifindex || bpf_check_mtu(skb, ifindex, &mtu, 0, 0) < 0;
}

/* The outermost VLAN ID, in metadata of the skb or in the frame. 0: untagged or priority-tagged. */
static __always_inline __u32 outer_vlan_id(struct __sk_buff *skb) {
    __u16 tag[2];

    if (skb->vlan_present)
        return skb->vlan_tci & VLAN_ID_MASK;
    if (!is_vlan_protocol(skb->protocol))
        return 0;
    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN - 2, tag, sizeof(tag)))
        return 0;
    return bpf_ntohs(tag[1]) & VLAN_ID_MASK;
}

/*
 * The offset after the IP header at `offset`, and the transport protocol. 0 if the header cannot be
 * read.
 */
static __always_inline __u32 skip_ip(struct __sk_buff *skb, __u32 offset, __u16 protocol, __u8 *transport) {
    if (protocol == bpf_htons(ETH_P_IP)) {
        __u8 first;
        if (bpf_skb_load_bytes(skb, offset, &first, 1) || bpf_skb_load_bytes(skb, offset + 9, transport, 1))
            return 0;
        return offset + (first & 0x0f) * 4;
    }
    if (protocol == bpf_htons(ETH_P_IPV6)) {
        __u8 next;
        __u8 length;
        if (bpf_skb_load_bytes(skb, offset + 6, &next, 1))
            return 0;
        offset += 40;
        /*
         * The kernel also segments after hop-by-hop, routing and destination options
         * (net/ipv6/ip6_offload.c).
         */
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION)
                break;
            if (bpf_skb_load_bytes(skb, offset + 1, &length, 1) || bpf_skb_load_bytes(skb, offset, &next, 1))
                return 0;
            offset += (length + 1) * 8;
        }
        *transport = next;
        return offset;
    }
    return 0;
}

/* Of a frame with TCP over IPv4 without options, up to the part of TCP that says how long it is. */
#define PLAIN_IPV4_LEN (ETH_HEADER_LEN + 20 + 13)
#define PLAIN_IPV6_LEN (ETH_HEADER_LEN + 40 + 13)

/*
 * Length of the headers of a frame that begins `start` bytes after the packet, where it has no tags,
 * its IP header neither options nor extensions, and TCP is in it: nearly every super-packet. 0 for
 * any other, and where the headers are not in one piece. It reads without a helper, and is a function
 * because of the stack, see verifier.h.
 */
__global __u32 plain_tcp_headers(struct __sk_buff *skb, __u32 start) {
    void *data = (void *)(long)skb->data;
    void *end = (void *)(long)skb->data_end;
    __u8 *frame = data + (start & 0x3f);

    if (frame + PLAIN_IPV4_LEN > (__u8 *)end)
        return 0;
    if (frame[12] == ETH_P_IP >> 8 && !frame[13])
        return frame[14] == 0x45 && frame[23] == IPPROTO_TCP ? 34 + (frame[46] >> 4) * 4 : 0;
    if (frame + PLAIN_IPV6_LEN > (__u8 *)end || frame[12] != ETH_P_IPV6 >> 8 || frame[13] != (ETH_P_IPV6 & 0xff))
        return 0;
    return frame[20] == IPPROTO_TCP ? 54 + (frame[66] >> 4) * 4 : 0;
}

/*
 * Length of all headers of a TCP or UDP super-packet; 0 for any other. Tags in the frame count,
 * metadata tags do not. `start`: where its frame begins; before it are the headers of a tunnel.
 */
static __always_inline __u32 header_length(struct __sk_buff *skb, __u32 start, __u32 *transport) {
    __u32 plain = plain_tcp_headers(skb, start);
    __u32 offset = start + ETH_HEADER_LEN;
    __u16 protocol;
    __u8 ip_protocol = 0;
    __u8 data_offset;

    if (plain) {
        *transport = TRANSPORT_TCP;
        return plain;
    }
    if (bpf_skb_load_bytes(skb, offset - 2, &protocol, sizeof(protocol)))
        return 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        if (!is_vlan_protocol(protocol))
            break;
        if (bpf_skb_load_bytes(skb, offset + 2, &protocol, sizeof(protocol)))
            return 0;
        offset += VLAN_TAG_LEN;
    }
    offset = skip_ip(skb, offset, protocol, &ip_protocol);
    if (!offset)
        return 0;
    if (ip_protocol == IPPROTO_TCP) {
        if (bpf_skb_load_bytes(skb, offset + 12, &data_offset, 1))
            return 0;
        *transport = TRANSPORT_TCP;
        return offset - start + (data_offset >> 4) * 4;
    }
    if (ip_protocol == IPPROTO_UDP) {
        *transport = TRANSPORT_UDP;
        return offset - start + 8;
    }
    return 0;
}

static __always_inline __u32 segments_of(__u32 payload, __u32 segment) {
    return segment ? (payload + segment - 1) / segment : 1;
}

/*
 * gso_segs is 0 for super-packets from a guest (SKB_GSO_DODGY), so the segments are computed if the
 * headers can be read.
 */
static __always_inline void measure(struct __sk_buff *skb, struct wire_size *size) {
    __u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;

    size->packets = 1;
    size->headers = 0;
    size->transport = TRANSPORT_OTHER;
    size->bytes = skb->len + tag;
    if (!skb->gso_size)
        return;
    size->headers = header_length(skb, 0, &size->transport);
    if (size->headers && skb->len > size->headers)
        size->packets = segments_of(skb->len - size->headers, skb->gso_size);
    if (skb->gso_segs && skb->gso_segs != size->packets) { /* in a tunnel, or of an unknown kind */
        __u32 headers = tunnel_headers(skb);

        if (headers || !size->headers) {
            size->packets = skb->gso_segs;
            size->headers = headers;
            size->transport = TRANSPORT_OTHER;
        }
    }
    size->bytes += (size->packets - 1) * (size->headers + tag);
}

/*
 * Length of the longest frame that a packet with these headers becomes. 0: the headers could not be
 * read.
 */
static __always_inline __u32 longest_frame(struct __sk_buff *skb, __u32 headers) {
    __u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;

    if (!skb->gso_size)
        return skb->len + tag;
    return headers ? headers + skb->gso_size + tag : 0;
}

/*
 * A device of MTU m accepts frames of m + 14 bytes and one tag, as in the kernel's
 * is_skb_forwardable.
 */
static __always_inline bool fits(__u32 length, __u32 mtu) {
    return length <= mtu + ETH_HEADER_LEN + VLAN_TAG_LEN;
}

#endif
