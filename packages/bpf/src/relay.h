/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * relay: a migrating destination has left this node, and the senders do not know it yet. Their
 * ERSPAN is sent to the node where the destination is, with the addresses, session and sequence of
 * that path. The copy inside is not changed.
 */
#ifndef MIRRORPLANE_RELAY_H
#define MIRRORPLANE_RELAY_H

#include "counters.h"
#include "erspan.h"
#include "packet.h"
#include "sequence.h"

/*
 * Rewrites the packet for `delivery`. `packets`: its segments. Returns a termination_drop, or -1
 * after success.
 */
static __always_inline int readdress(struct __sk_buff *skb, struct erspan_headers *headers, struct delivery *delivery,
                                     __u32 packets) {
    __u32 sequence;

    if (!delivery->ifindex)
        return TERMINATION_DESTINATION_DOWN;
    if (!skb->gso_size && skb->len - ETH_HEADER_LEN > delivery->mtu)
        return TERMINATION_TOO_BIG_FOR_DESTINATION;
    headers->ip.saddr = delivery->source_address;
    headers->ip.daddr = delivery->address;
    headers->ip.ttl = COPY_TTL;
    headers->ip.check = 0;
    headers->ip.check = ip_checksum(&headers->ip);
    if (!next_number(delivery, packets, &sequence))
        return TERMINATION_DESTINATION_DOWN;
    headers->sequence = bpf_htonl(sequence);
    headers->word = (headers->word & bpf_htonl(~0x03ffU)) | bpf_htonl(delivery->session & 0x03ff);
    headers->index = bpf_htonl(index_with_proof(bpf_ntohl(headers->index), delivery->proof));
    if (bpf_skb_store_bytes(skb, ETH_HEADER_LEN, headers, sizeof(*headers), BPF_F_RECOMPUTE_CSUM))
        return TERMINATION_DECAP_FAILED;
    return -1;
}

#endif
