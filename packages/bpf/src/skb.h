/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fields of the kernel's own structs. Only fields that are read are declared. The loader finds
 * their offsets (CO-RE).
 */
#ifndef MIRRORPLANE_SKB_H
#define MIRRORPLANE_SKB_H

#include <bpf/bpf_core_read.h>

#include "verifier.h"

struct ns_common {
    unsigned int inum;
} __attribute__((preserve_access_index));
struct net {
    struct ns_common ns;
} __attribute__((preserve_access_index));
typedef struct {
    struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;
struct net_device {
    int ifindex;
    unsigned int mtu;
    unsigned int flags;
    possible_net_t nd_net;
} __attribute__((preserve_access_index));
struct sk_buff {
    struct net_device *dev;
    __u32 mark;
    unsigned int len;
    unsigned int data_len; /* of it, bytes that are not behind `data` */
    unsigned int end;      /* from `head` on: struct skb_shared_info */
    unsigned char *head;
    unsigned char *data;
    __u16 mac_header; /* from `head` on, as is the next */
    __u16 network_header;
    __be16 vlan_proto;
    __u16 vlan_tci;
    __u16 csum_start; /* from `head` on */
    __u16 csum_offset;
    __u16 inner_network_header; /* likewise, as is the next */
    __u16 inner_transport_header;
    __u8 pkt_type : 3;
    __u8 ip_summed : 2;
    __u8 encapsulation : 1;
} __attribute__((preserve_access_index));
struct skb_shared_info {
    unsigned short gso_size;
    unsigned short gso_segs;
} __attribute__((preserve_access_index));
/* Whether there is a tag as metadata: since 6.2, and before. */
struct sk_buff___vlan_all {
    __u32 vlan_all;
} __attribute__((preserve_access_index));
struct sk_buff___vlan_present {
    __u8 vlan_present : 1;
} __attribute__((preserve_access_index));

/*
 * ip_summed: the stack must still compute the checksum when the packet leaves
 * (include/linux/skbuff.h).
 */
#define CHECKSUM_PARTIAL 3

/* A checksum that the stack must still compute. Offsets in the frame. */
struct pending_checksum {
    __u32 start; /* of the summed bytes, which end with the frame */
    __u32 field; /* of the checksum field, which has the starting value */
};

/*
 * False if all checksums of the frame are as on the wire. The context of a tc program is the skb.
 */
static __always_inline bool read_pending_checksum(struct __sk_buff *skb, struct pending_checksum *pending) {
    struct sk_buff *kernel = (struct sk_buff *)skb;
    __u32 headroom;

    if (BPF_CORE_READ_BITFIELD_PROBED(kernel, ip_summed) != CHECKSUM_PARTIAL)
        return false;
    headroom = BPF_CORE_READ(kernel, data) - BPF_CORE_READ(kernel, head);
    pending->start = BPF_CORE_READ(kernel, csum_start) - headroom;
    pending->field = pending->start + BPF_CORE_READ(kernel, csum_offset);
    return true;
}

/*
 * Length of all headers of a super-packet in a tunnel that the node itself made (skb->encapsulation), the inner TCP or
 * UDP header included; 0 for any other.
 */
__global __u32 tunnel_headers(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;
    __u32 headroom;
    __u32 network;
    __u32 transport;
    __u8 version;
    __u8 byte;

    if (!BPF_CORE_READ_BITFIELD_PROBED(kernel, encapsulation))
        return 0;
    headroom = BPF_CORE_READ(kernel, data) - BPF_CORE_READ(kernel, head);
    network = BPF_CORE_READ(kernel, inner_network_header) - headroom;
    transport = BPF_CORE_READ(kernel, inner_transport_header) - headroom;
    if (bpf_skb_load_bytes(skb, network, &version, 1) ||
        bpf_skb_load_bytes(skb, network + (version >> 4 == 4 ? 9 : 6), &byte, 1))
        return 0;
    if (byte == IPPROTO_UDP)
        return transport + 8;
    if (byte != IPPROTO_TCP || bpf_skb_load_bytes(skb, transport + 12, &byte, 1))
        return 0;
    return transport + (byte >> 4) * 4;
}

#endif
