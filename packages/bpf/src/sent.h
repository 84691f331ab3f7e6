/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sent: remembers copies that have left by an edge of this node lately. A switch may bring them
 * back to a mirrored device, among production traffic with the same VLAN ID. They are recognised by
 * their content.
 */
#ifndef MIRRORPLANE_SENT_H
#define MIRRORPLANE_SENT_H

#include "maps.h"
#include "packet.h"
#include "verifier.h"

/* Number of bytes of a frame that are compared, with the Ethernet header and without tags. */
#define HEAD_BYTES 70
/* Room for the bytes after the addresses. A power of two, for the verifier. */
#define HEAD_ROOM 64
#define UDP_HEADER_LEN 8
/*
 * Number of first segments of a super-packet that are recognised. A UDP super-packet has no more
 * (UDP_MAX_SEGMENTS).
 */
#define SENT_SEGMENTS 128

/*
 * Words of 64 bits, named by the offset of their first byte in a frame without tags. Byte n of a
 * word is in its bits 8n.
 */
struct head_words {
    __u64 at0, at6, at14, at18, at26, at30, at34, at42, at46, at54, at62;
    __u32 tags; /* bytes of tags in the frame */
};

/*
 * The values that identify a frame, without fields that may differ between a sent and a returned
 * copy.
 */
struct frame_head {
    __u64 sum;       /* of all bytes except the fields below */
    __u64 first;     /* first bytes after IP, without the sequence number of TCP; for UDP: ports and length */
    __u64 next;      /* the next bytes; 0 for TCP */
    __u32 id;        /* of IPv4, network byte order; 0 for TCP: its segments have different ones */
    __u32 sequence;  /* of TCP, host byte order; 0 for others */
    __u32 transport; /* enum transport */
    __u32 is_ipv4;
    __u32 payload; /* of UDP: its offset in the frame */
};

/* An odd multiplier for each word. The products can be computed in parallel. */
#define SUM_0 0x9e3779b97f4a7c15ULL
#define SUM_1 0xc2b2ae3d27d4eb4fULL
#define SUM_2 0x165667b19e3779f9ULL
#define SUM_3 0xd6e8feb86659fd93ULL
#define SUM_4 0xff51afd7ed558ccdULL
#define SUM_5 0xc4ceb9fe1a85ec53ULL

static __always_inline __u64 mixed(__u64 sum) {
    sum ^= sum >> 32;
    sum *= SUM_0;
    return sum ^ sum >> 29;
}

static __always_inline __u64 sum_of(const struct frame_head *head) {
    __u64 sum = mixed(head->sum + head->first * SUM_4);

    return mixed(sum + head->id * SUM_5 + head->next * SUM_1 + head->sequence * SUM_4);
}

/* Sets the length in the UDP header. */
static __always_inline void set_udp_length(struct frame_head *head, __u32 payload) {
    head->first = (head->first & 0xffffffff) | (__u64)bpf_htons(payload + UDP_HEADER_LEN) << 32;
}

/*
 * Sums the addresses of Ethernet and IP, and the first bytes after IP. A checksum may not be
 * computed yet, so it is left out.
 */
static __always_inline void read_head(const struct head_words *words, __u32 vlans, struct frame_head *head) {
    __u16 protocol = words->at6 >> 48;
    bool four = protocol == bpf_htons(ETH_P_IP);
    bool six = protocol == bpf_htons(ETH_P_IPV6);
    __u8 transport = four ? words->at18 >> 40 : six ? words->at18 >> 16 : 0;

    head->sum = (words->at0 ^ vlans) * SUM_0 + words->at6 * SUM_1;
    if (six)
        head->sum += words->at30 * SUM_2 + words->at46 * SUM_3;
    else
        head->sum += words->at26 * SUM_2;
    if (!four && !six)
        head->sum += words->at14 * SUM_3 + words->at18 * SUM_5;
    head->first = six ? words->at54 : words->at34;
    head->next = six ? words->at62 : words->at42;
    head->is_ipv4 = four;
    head->id = four ? words->at18 & 0xffff : 0;
    head->sequence = 0;
    head->payload = (six ? 62 : 42) + words->tags;
    head->transport = TRANSPORT_OTHER;
    if (transport == IPPROTO_TCP) {
        head->transport = TRANSPORT_TCP;
        head->sequence = bpf_ntohl(head->first >> 32);
        head->first &= 0xffffffff;
        head->next = 0;
        head->id = 0;
    } else if (transport == IPPROTO_UDP) {
        head->transport = TRANSPORT_UDP;
        head->first &= 0xffffffffffffULL;
    }
}

static __always_inline __u64 word_at(const __u8 *bytes) {
    __u64 word;

    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/*
 * Reads a frame without its tags. The outer tag is metadata, or with `tagged` in the frame; one
 * more tag may be inside. `vlans` gets both. False if the frame is shorter than its Ethernet
 * header.
 */
static __always_inline bool load_head(struct __sk_buff *skb, bool tagged, struct head_words *words, __u32 *vlans) {
    __u32 offset = 12 + (tagged ? VLAN_TAG_LEN : 0);
    __u8 bytes[12 + HEAD_ROOM + 4] = {};
    __u32 length = skb->len;
    __u16 tag[2];

    if (bpf_skb_load_bytes(skb, 0, bytes, 12) || bpf_skb_load_bytes(skb, offset, tag, 2))
        return false;
    if (is_vlan_protocol(tag[0])) {
        if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
            return false;
        *vlans |= (__u32)tag[1] << 16;
        offset += VLAN_TAG_LEN;
    }
    if (length <= offset)
        return false;
    /* All bytes up to the limit: a short frame may come back with zeros at its end. */
    length -= offset;
    if (length > HEAD_BYTES - 12)
        length = HEAD_BYTES - 12;
    forget(length);
    if (bpf_skb_load_bytes(skb, offset, bytes + 12, ((length - 1) & (HEAD_ROOM - 1)) + 1))
        return false;
    words->tags = offset - 12;
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

/*
 * The same for a frame of this length whose bytes are directly readable, without an inner tag.
 * False for other frames.
 */
static __always_inline bool peek_head(struct __sk_buff *skb, struct head_words *words) {
    void *bytes = (void *)(long)skb->data;

    if (bytes + HEAD_BYTES > (void *)(long)skb->data_end || is_vlan_protocol(*(__u16 *)(bytes + 12)))
        return false;
    words->tags = 0;
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

/* Number of the current period of some seconds, since the start of the node. */
static __always_inline __u32 sent_epoch(void) {
    return bpf_jiffies64() >> 10 & 0xffff;
}

static __always_inline __u64 *sent_slot(__u64 sum, __u32 *slot) {
    *slot = sum & (SENT_COPIES - 1);
    return bpf_map_lookup_elem(&sent_copies, slot);
}

/*
 * It is a separate function: with a branch in the loop, clang 14 makes a loop that verifiers before
 * 6.2 refuse.
 */
__global int remember_sum(__u64 sum) {
    __u32 slot;
    __u64 *sent = sent_slot(sum, &slot);

    if (sent)
        *sent = (sum & ~0xffffULL) | sent_epoch();
    return 0;
}

/* Records every segment with its sequence number. */
static __always_inline void remember_tcp(struct frame_head *head, __u32 segments, __u32 size) {
    __u32 first = head->sequence;

    /*
     * Without this, the compiler omits the first comparison and jumps into the loop. Verifiers
     * before 6.2 refuse this too.
     */
    forget(segments);
    for (__u32 i = 0; i < SENT_SEGMENTS; i++) {
        if (i >= segments)
            break;
        head->sequence = first + i * size;
        remember_sum(sum_of(head));
    }
}

/*
 * Records one datagram of a super-packet. Each datagram has its own length, identification and
 * first bytes. Returns nonzero if the super-packet has no further datagram.
 */
__global int remember_datagram(struct __sk_buff *skb, struct frame_head *head, __u32 offset, __u32 size) {
    __u32 left;

    if (!head || offset >= skb->len)
        return -1;
    left = skb->len - offset;
    if (left > size)
        left = size;
    set_udp_length(head, left);
    head->next = 0;
    if (left > sizeof(head->next))
        left = sizeof(head->next);
    forget(left);
    if (bpf_skb_load_bytes(skb, offset, &head->next, ((left - 1) & (sizeof(head->next) - 1)) + 1))
        return -1;
    remember_sum(sum_of(head));
    if (head->is_ipv4)
        head->id = bpf_htons(bpf_ntohs(head->id) + 1);
    return 0;
}

static __always_inline void remember_udp(struct __sk_buff *skb, struct frame_head *head, __u32 size) {
    __u32 offset = head->payload;

    for (__u32 i = 0; i < SENT_SEGMENTS; i++) {
        if (remember_datagram(skb, head, offset, size))
            break;
        offset += size;
    }
}

/* A copy is about to leave by an edge. The tag of the policy is metadata of `skb` already. */
__global int remember_sent(struct __sk_buff *skb, __u32 vlans) {
    struct head_words words;
    struct frame_head head;
    __u32 size = skb->gso_size;
    __u32 segments = 1;

    if (!peek_head(skb, &words) && !load_head(skb, false, &words, &vlans))
        return 0;
    read_head(&words, vlans, &head);
    if (size && head.transport == TRANSPORT_UDP) {
        remember_udp(skb, &head, size);
        return 0;
    }
    if (size && head.transport == TRANSPORT_TCP)
        segments = segments_of(skb->len, size);
    remember_tcp(&head, segments, size);
    return 0;
}

/* True if such a copy has left by an edge of this node in the last seconds. */
__global bool was_sent(struct __sk_buff *skb, __u32 vlans) {
    struct head_words words;
    struct frame_head head;
    __u64 *sent;
    __u32 slot;
    __u64 sum;

    if (!load_head(skb, !skb->vlan_present, &words, &vlans))
        return false;
    read_head(&words, vlans, &head);
    if (skb->gso_size && head.transport == TRANSPORT_UDP) /* merged on the way: the first datagram identifies it */
        set_udp_length(&head, skb->gso_size);
    sum = sum_of(&head);
    sent = sent_slot(sum, &slot);
    return sent && !((*sent ^ sum) & ~0xffffULL) && ((sent_epoch() - *sent) & 0xffff) <= 2;
}

#endif
