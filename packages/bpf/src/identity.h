/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * identity: tells whether two frames are the same packet, by their first bytes behind the tag. The
 * bytes are read by who has the packet: `frame_hash` in a program of tc, hear.h where it is
 * dropped.
 */
#ifndef MIRRORPLANE_IDENTITY_H
#define MIRRORPLANE_IDENTITY_H

#include "packet.h"
#include "verifier.h"

/*
 * Number of bytes after addresses and tag that identify a frame. A power of two, for the verifier.
 */
#define TELLING_BYTES 64
#define ADDRESS_BYTES 12
#define FIRST_BYTES (ADDRESS_BYTES + TELLING_BYTES)

/* The addresses, and up to TELLING_BYTES behind the outermost tag. What is not there is 0. */
struct first_bytes {
    __u64 words[(FIRST_BYTES + 4) / 8];
};

/*
 * Leaves out the checksum of TCP and UDP: it may be computed in one frame, and still missing in the
 * other.
 */
static __always_inline void leave_out_checksum(__u8 *bytes) {
    __u16 protocol = bytes[12] << 8 | bytes[13];

    if (protocol == ETH_P_IP && bytes[23] == IPPROTO_TCP)
        bytes[50] = bytes[51] = 0;
    else if (protocol == ETH_P_IP && bytes[23] == IPPROTO_UDP)
        bytes[40] = bytes[41] = 0;
    else if (protocol == ETH_P_IPV6 && bytes[20] == IPPROTO_TCP)
        bytes[70] = bytes[71] = 0;
    else if (protocol == ETH_P_IPV6 && bytes[20] == IPPROTO_UDP)
        bytes[60] = bytes[61] = 0;
}

static __always_inline __u64 mix(__u64 hash, __u64 word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ hash >> 29;
}

/* The id of a packet, not 0. Takes the checksum out of its bytes. */
static __always_inline __u64 id_of(struct first_bytes *first) {
    __u64 hash = 0;

    leave_out_checksum((__u8 *)first->words);
#pragma unroll
    for (int i = 0; i < (FIRST_BYTES + 4) / 8; i++)
        hash = mix(hash, first->words[i]);
    return hash | 1;
}

static __always_inline __u32 number_at(const __u8 *bytes) {
    return (__u32)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/*
 * Of an IP packet, what stays the same where it is routed or translated: lengths, the IP id, and
 * sequence numbers of TCP. 0: it is no IP packet. Headers with options are read as those without:
 * it is compared with what the same code has read.
 */
static __always_inline __u64 telltale_of(const struct first_bytes *first) {
    const __u8 *bytes = (const __u8 *)first->words;
    __u16 protocol = bytes[12] << 8 | bytes[13];

    if (protocol == ETH_P_IP)
        return mix(mix(number_at(bytes + 16), (__u64)bytes[23] << 32 | number_at(bytes + 38)), number_at(bytes + 42)) |
               1;
    if (protocol == ETH_P_IPV6)
        return mix(mix((__u64)number_at(bytes + 18) >> 8, number_at(bytes + 58)), number_at(bytes + 62)) | 1;
    return 0;
}

/* The flow of a packet of TCP or UDP: addresses, ports, protocol. 0: it belongs to none. */
static __always_inline __u64 flow_of(const struct first_bytes *first) {
    const __u8 *bytes = (const __u8 *)first->words;
    __u16 type = bytes[12] << 8 | bytes[13];
    __u8 protocol = type == ETH_P_IP ? bytes[23] : bytes[20];
    __u64 hash = protocol;

    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return 0;
    if (type == ETH_P_IP && (bytes[14] & 15) == 5) {
#pragma unroll
        for (int i = 26; i < 38; i += 4)
            hash = mix(hash, number_at(bytes + i));
        return hash | 1;
    }
    if (type == ETH_P_IPV6) {
#pragma unroll
        for (int i = 22; i < 58; i += 4)
            hash = mix(hash, number_at(bytes + i));
        return hash | 1;
    }
    return 0;
}

/*
 * Reads the first bytes of a frame. They are the same with the tag as metadata, in the frame, or
 * without the tag. False: the frame is too short.
 */
static __always_inline bool read_first(struct __sk_buff *skb, struct first_bytes *first) {
    __u32 offset = ADDRESS_BYTES + (!skb->vlan_present && is_vlan_protocol(skb->protocol) ? VLAN_TAG_LEN : 0);
    __u32 length = skb->len;

    if (length <= offset || bpf_skb_load_bytes(skb, 0, first->words, ADDRESS_BYTES))
        return false;
    length -= offset;
    if (length > TELLING_BYTES)
        length = TELLING_BYTES;
    forget(length);
    return !bpf_skb_load_bytes(skb, offset, (__u8 *)first->words + ADDRESS_BYTES,
                               ((length - 1) & (TELLING_BYTES - 1)) + 1);
}

/* The id of a frame. 0: it is too short. */
static __always_inline __u64 frame_hash(struct __sk_buff *skb) {
    struct first_bytes first = {};

    return read_first(skb, &first) ? id_of(&first) : 0;
}

#endif
