/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sent: copies that have left by an edge of this node lately. A switch may bring them back to a mirrored device, in the
 * middle of production traffic with the same VLAN ID; they are known again by what they are.
 */
#ifndef MIRRORPLANE_SENT_H
#define MIRRORPLANE_SENT_H

#include "maps.h"
#include "packet.h"
#include "verifier.h"

/* Bytes of a frame that are looked at, Ethernet header included, tags left out. */
#define HEAD_BYTES 70
/* A super-packet of more segments is known again by the first of them. */
#define SENT_SEGMENTS 64

/* 64 bits each, by the number of their first byte in a frame without tags. Byte n of a word is in its bits 8n. */
struct head_words {
    __u64 at0, at6, at14, at18, at26, at30, at34, at42, at46, at54, at62;
};

/* What tells a frame from others, without what differs between a copy as it is sent and as it comes back. */
struct frame_head {
    __u64 sum;      /* of all but the two below */
    __u32 sequence; /* of TCP */
    __u32 is_tcp;
};

/* An odd multiplier for each word: the products can be computed side by side. */
#define SUM_0 0x9e3779b97f4a7c15ULL
#define SUM_1 0xc2b2ae3d27d4eb4fULL
#define SUM_2 0x165667b19e3779f9ULL
#define SUM_3 0xd6e8feb86659fd93ULL
#define SUM_4 0xff51afd7ed558ccdULL
#define SUM_5 0xc4ceb9fe1a85ec53ULL

static __always_inline __u64 sum_with(__u64 sum, __u32 sequence) {
    sum += sequence * SUM_4;
    sum ^= sum >> 32;
    sum *= SUM_0;
    return sum ^ sum >> 29;
}

/* Addresses of Ethernet and IP, and the first bytes of what IP carries; a checksum may still have to be computed. */
static __always_inline void read_head(const struct head_words *words, __u32 vlans, struct frame_head *head) {
    __u16 protocol = words->at6 >> 48;
    bool four = protocol == bpf_htons(ETH_P_IP);
    bool six = protocol == bpf_htons(ETH_P_IPV6);
    __u64 first = six ? words->at54 : words->at34; /* of what IP carries */
    __u64 next = six ? words->at62 : words->at42;
    __u8 transport = four ? words->at18 >> 40 : six ? words->at18 >> 16 : 0;
    __u64 sum = (words->at0 ^ vlans) * SUM_0 + words->at6 * SUM_1;

    if (six)
        sum += words->at30 * SUM_2 + words->at46 * SUM_3;
    else
        sum += words->at26 * SUM_2;
    if (!four && !six)
        sum += words->at14 * SUM_3 + words->at18 * SUM_5;
    head->is_tcp = transport == IPPROTO_TCP;
    head->sequence = first >> 32;
    if (head->is_tcp)
        first &= 0xffffffff;
    else if (transport == IPPROTO_UDP)
        first &= 0xffffffffffffULL;
    sum = sum_with(sum + first * SUM_4, 0);
    if (!head->is_tcp) {
        if (four) /* segments of one super-packet of TCP have numbers of their own */
            sum += (words->at18 & 0xffff) * SUM_5;
        sum += next * SUM_1;
    }
    head->sum = sum;
}

static __always_inline __u64 word_at(const __u8 *bytes) {
    __u64 word;

    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/*
 * Reads a frame, and leaves out a tag that is metadata or, where `tagged`, stands in the frame, and one tag inside it;
 * `vlans`: both. False where the frame is shorter than its Ethernet header.
 */
static __always_inline bool load_head(struct __sk_buff *skb, bool tagged, struct head_words *words, __u32 *vlans) {
    __u32 offset = 12 + (tagged ? VLAN_TAG_LEN : 0);
    __u8 bytes[HEAD_BYTES + 2] = {};
    __u16 tag[2];

    if (bpf_skb_load_bytes(skb, 0, bytes, 12) || bpf_skb_load_bytes(skb, offset, tag, 2))
        return false;
    if (is_vlan_protocol(tag[0])) {
        if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
            return false;
        *vlans |= (__u32)tag[1] << 16;
        offset += VLAN_TAG_LEN;
    }
    if (bpf_skb_load_bytes(skb, offset, bytes + 12, HEAD_BYTES - 12) &&
        bpf_skb_load_bytes(skb, offset, bytes + 12, 48) && bpf_skb_load_bytes(skb, offset, bytes + 12, 30) &&
        bpf_skb_load_bytes(skb, offset, bytes + 12, 2))
        return false;
    words->at0 = word_at(bytes);
    words->at6 = word_at(bytes + 6);
    words->at14 = word_at(bytes + 14);
    words->at18 = word_at(bytes + 18);
    words->at26 = word_at(bytes + 26);
    words->at30 = word_at(bytes + 30);
    words->at34 = word_at(bytes + 34);
    words->at42 = word_at(bytes + 42);
    words->at46 = word_at(bytes + 46);
    words->at54 = word_at(bytes + 54);
    words->at62 = word_at(bytes + 62);
    return true;
}

/* The same for a frame of that length that is all there, without a tag inside. False for others. */
static __always_inline bool peek_head(struct __sk_buff *skb, struct head_words *words) {
    void *bytes = (void *)(long)skb->data;

    if (bytes + HEAD_BYTES > (void *)(long)skb->data_end || is_vlan_protocol(*(__u16 *)(bytes + 12)))
        return false;
    words->at0 = *(__u64 *)bytes;
    words->at6 = *(__u64 *)(bytes + 6);
    words->at14 = *(__u64 *)(bytes + 14);
    words->at18 = *(__u64 *)(bytes + 18);
    words->at26 = *(__u64 *)(bytes + 26);
    words->at30 = *(__u64 *)(bytes + 30);
    words->at34 = *(__u64 *)(bytes + 34);
    words->at42 = *(__u64 *)(bytes + 42);
    words->at46 = *(__u64 *)(bytes + 46);
    words->at54 = *(__u64 *)(bytes + 54);
    words->at62 = *(__u64 *)(bytes + 62);
    return true;
}

/* Some seconds, counted from the start of the node. */
static __always_inline __u32 sent_epoch(void) {
    return bpf_jiffies64() >> 10 & 0xffff;
}

static __always_inline __u64 *sent_slot(__u64 sum, __u32 *slot) {
    *slot = sum & (SENT_COPIES - 1);
    return bpf_map_lookup_elem(&sent_copies, slot);
}

static __always_inline void remember_sum(__u64 sum) {
    __u32 slot;
    __u64 *sent = sent_slot(sum, &slot);

    if (sent)
        *sent = (sum & ~0xffffULL) | sent_epoch();
}

/* A copy is about to leave by an edge. The tag of the policy is metadata of `skb` already. */
__global int remember_sent(struct __sk_buff *skb, __u32 vlans) {
    struct head_words words;
    struct frame_head head;
    __u32 segments = 1;

    if (!peek_head(skb, &words) && !load_head(skb, false, &words, &vlans))
        return 0;
    read_head(&words, vlans, &head);
    if (!head.is_tcp) {
        remember_sum(sum_with(head.sum, 0));
        return 0;
    }
    if (skb->gso_size)
        segments = segments_of(skb->len, skb->gso_size);
    /* Else the compiler leaves out the first comparison and jumps into the loop, which verifiers before 6.2 refuse. */
    forget(segments);
    for (__u32 i = 0; i < SENT_SEGMENTS; i++) {
        if (i >= segments)
            break;
        remember_sum(sum_with(head.sum, bpf_ntohl(head.sequence) + i * skb->gso_size));
    }
    return 0;
}

/* True where such a copy has left by an edge of this node in the last seconds. */
__global bool was_sent(struct __sk_buff *skb, __u32 vlans) {
    struct head_words words;
    struct frame_head head;
    __u64 *sent;
    __u32 slot;
    __u64 sum;

    if (!load_head(skb, !skb->vlan_present, &words, &vlans))
        return false;
    read_head(&words, vlans, &head);
    sum = sum_with(head.sum, head.is_tcp ? bpf_ntohl(head.sequence) : 0);
    sent = sent_slot(sum, &slot);
    return sent && !((*sent ^ sum) & ~0xffffULL) && ((sent_epoch() - *sent) & 0xffff) <= 2;
}

#endif
