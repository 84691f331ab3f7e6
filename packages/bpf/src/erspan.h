/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ERSPAN type II: 20 bytes IPv4, 8 bytes GRE with sequence number, 8 bytes ERSPAN
 * (draft-foschiano-erspan-03). */
#ifndef MIRRORPLANE_ERSPAN_H
#define MIRRORPLANE_ERSPAN_H

#include "types.h"

#define GRE_FLAG_SEQUENCE 0x1000
#define GRE_PROTOCOL_ERSPAN 0x88be
#define ERSPAN_VERSION_II 1
#define ERSPAN_TRUNCATED_SHIFT 10
#define ERSPAN_EN_NONE 0
#define ERSPAN_EN_IN_FRAME 3

struct erspan_headers {
    struct iphdr ip;
    __be16 gre_flags;
    __be16 gre_protocol;
    __be32 sequence;
    __be32 word;  /* version 4, VLAN 12, COS 3, En 2, T 1, session 10 bits */
    __be32 index; /* reserved 12, index 20 bits */
};

/*
 * The index, 20 bits: generation of the session 9, source slot 10, outbound 1. Several policies
 * have a session number one after another. The generation distinguishes them, so that copies of a
 * sender that has missed a change are delivered to no one.
 *
 * Of the 12 reserved bits before the index, the first one marks a probe, see probe.h. The other 11
 * are a secret of the policy, so that a copy cannot be forged by guessing alone. Receivers of
 * others ignore these bits (draft-foschiano-erspan-03, 4.2). Generation and secret are neighbours,
 * and compared as one number: the proof.
 */
#define ERSPAN_PROBE (1U << 31)
#define INDEX_PROOF_SHIFT 11
#define INDEX_SOURCE_MASK 0x7ff
#define PROOF_GENERATION_MASK 0x1ff
#define PROOF_MASK 0xfffff

static __always_inline __u32 index_with_proof(__u32 index, __u32 proof) {
    return (index & INDEX_SOURCE_MASK) | (proof & PROOF_MASK) << INDEX_PROOF_SHIFT;
}

static __always_inline __u32 proof_of(struct erspan_headers *headers) {
    return bpf_ntohl(headers->index) >> INDEX_PROOF_SHIFT & PROOF_MASK;
}

/*
 * The TTL of copies, the highest. A router can only lower it, so nobody behind a router can send a
 * packet that arrives with it (RFC 5082).
 */
#define COPY_TTL 255

#define ERSPAN_HEADERS_LEN ((__u32)sizeof(struct erspan_headers))

static __always_inline __be32 erspan_word(__u16 tci, bool tagged, __u32 truncated, __u32 session) {
    __u32 en = tagged ? ERSPAN_EN_IN_FRAME : ERSPAN_EN_NONE;

    return bpf_htonl((ERSPAN_VERSION_II << 28) | ((tci & 0x0fff) << 16) | ((tci >> 13) << 13) | (en << 11) |
                     truncated << ERSPAN_TRUNCATED_SHIFT | (session & 0x03ff));
}

static __always_inline __sum16 ip_checksum(struct iphdr *ip) {
    __u16 *words = (__u16 *)ip;
    __u32 sum = 0;

#pragma unroll
    for (int i = 0; i < 10; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

#endif
