/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hear: what the kernel says of originals that it drops, while there are looks. The program hangs
 * on the tracepoint skb:kfree_skb as long as the agent that has loaded it has a look: nothing of it
 * is pinned, so it goes with the agent. It tells of packets that looks of this node have written.
 * See docs/adr/0052-the-kernel-is-heard.md.
 */
#ifndef MIRRORPLANE_HEAR_H
#define MIRRORPLANE_HEAR_H

#include "hear-types.h"
#include "identity.h"
#include "maps.h"
#include "skb.h"

/* Records of a CPU in a period, at most. The period in ns. */
#define HEARD_MOST 500
#define HEARD_PERIOD 100000000ULL
/* A segment is told where a super-packet of its flow was seen within this time, ns. */
#define FLOW_MEMORY 2000000000ULL

/* Key: 0. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct hearing);
} hearing SEC(".maps");

/* Key: slot of a look. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, LOOKS);
    __type(key, __u32);
    __type(value, struct hearing_counters);
} hearing_counters SEC(".maps");

/* Records, which user space takes out while there are looks. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 19);
} heard_drops SEC(".maps");

/* Key: an address in the kernel. Value: the name of its function. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, __u64);
    __type(value, char[FUNCTION_BYTES]);
} drop_functions SEC(".maps");

struct heard_scratch {
    struct heard_drop drop;
    __u64 period; /* when it began, ktime in ns */
    __u32 told;   /* since then */
    char function[FUNCTION_BYTES];
};

/* Key: 0. Value: the record that this CPU makes. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct heard_scratch);
} heard_scratch SEC(".maps");

/* Where the frame of a dropped packet is. */
struct dropped {
    unsigned char *start;
    __s32 length; /* of the whole frame */
    __s32 linear; /* of it, what can be read */
    bool tagged;  /* a tag is metadata */
};

static __always_inline bool has_tag(struct sk_buff *skb) {
    struct sk_buff___vlan_all *since = (void *)skb;
    struct sk_buff___vlan_present *before = (void *)skb;

    if (bpf_core_field_exists(since->vlan_all))
        return since->vlan_all != 0;
    return BPF_CORE_READ_BITFIELD(before, vlan_present);
}

/* False: it is no frame, or its Ethernet header is not there any more. */
static __always_inline bool find_frame(struct sk_buff *skb, struct dropped *dropped) {
    __u32 mac = skb->mac_header;
    __s32 pulled = (__s32)(skb->data - skb->head) - (__s32)mac;

    if (mac == 0xffff)
        return false;
    dropped->start = skb->head + mac;
    dropped->length = (__s32)skb->len + pulled;
    dropped->linear = dropped->length - (__s32)skb->data_len;
    dropped->tagged = has_tag(skb);
    return dropped->linear >= ETH_HEADER_LEN;
}

/* Reads up to `most` bytes at `from` on. False: there are none. */
static __always_inline bool read_bytes(void *to, __s32 there, __u32 most, unsigned char *from) {
    __u32 length = (__u32)there > most ? most : (__u32)there;

    if (there <= 0)
        return false;
    forget(length);
    if (length > most) /* for the verifier */
        return false;
    return !bpf_probe_read_kernel(to, length, from);
}

/* As `read_first`. False: not all of its bytes can be read; the others are there, or are 0. */
static __always_inline bool read_dropped(struct dropped *dropped, struct first_bytes *first) {
    __u8 *bytes = (__u8 *)first->words;
    __u32 tag = 0;

    if (!read_bytes(bytes, dropped->linear, FIRST_BYTES, dropped->start))
        return false;
    if (!dropped->tagged && is_vlan_protocol(*(__u16 *)(bytes + ADDRESS_BYTES))) {
        tag = VLAN_TAG_LEN;
        __builtin_memset(bytes + ADDRESS_BYTES, 0, TELLING_BYTES);
        if (!read_bytes(bytes + ADDRESS_BYTES, dropped->linear - ADDRESS_BYTES - VLAN_TAG_LEN, TELLING_BYTES,
                        dropped->start + ADDRESS_BYTES + VLAN_TAG_LEN))
            return false;
    }
    return dropped->linear - (__s32)tag >= FIRST_BYTES || dropped->linear == dropped->length;
}

/* Whether edges push this tag on copies: a switch may bring them here. */
static __always_inline bool is_tag_of_copies(__u32 vlan_id) {
    bool found = false;

#pragma unroll
    for (__u32 set = 0; set < COPY_VLAN_SETS; set++) {
        __u32 key = set;
        __u8 *vlans = bpf_map_lookup_elem(&copy_vlans, &key);

        found |= vlans && vlans[vlan_id >> 3 & 511] >> (vlan_id & 7) & 1;
    }
    return found;
}

/*
 * Whether it may be a copy: it has the bytes of its original. Where both may come, nothing is told
 * of either.
 */
static __always_inline bool is_copy(struct hearing *hearing, struct sk_buff *skb, __u32 ifindex, bool tagged) {
    struct copy_context *copy = this_copy();

    if (copy && copy->active)
        return true;
    if (ifindex == hearing->own[0] || ifindex == hearing->own[1] || ifindex == hearing->own[2])
        return true;
    if (bpf_map_lookup_elem(&destinations, &ifindex))
        return true;
    return tagged && is_tag_of_copies(skb->vlan_tci & VLAN_ID_MASK);
}

/* Who looks at the packet. */
struct interest {
    __u64 id;
    enum hearing_join join;
    __u32 serials[LOOKS];
};

static __always_inline bool is_noted(__u64 id, struct interest *interest) {
    struct noted_packet *noted = bpf_map_lookup_elem(&noted_packets, &id);

    if (!noted)
        return false;
    interest->id = id;
    interest->join = JOIN_PACKET;
    __builtin_memcpy(interest->serials, noted->serials, sizeof(interest->serials));
    return true;
}

static __always_inline bool is_of_flow(__u64 flow, struct interest *interest) {
    struct noted_flow *noted = flow ? bpf_map_lookup_elem(&noted_flows, &flow) : NULL;

    if (!noted || bpf_ktime_get_ns() - noted->at > FLOW_MEMORY)
        return false;
    interest->join = JOIN_FLOW;
    __builtin_memcpy(interest->serials, noted->serials, sizeof(interest->serials));
    return true;
}

/*
 * By its bytes. Where they are others by now, or cannot be read, by the address of the sk_buff: the
 * kernel uses that again, so what routing leaves of a packet has to be the same.
 */
static __always_inline bool find_interest(struct sk_buff *skb, struct dropped *dropped, struct interest *interest) {
    struct first_bytes first = {};
    struct noted_skb *noted;
    __u64 address = (__u64)skb;
    bool whole = read_dropped(dropped, &first);
    __u64 telltale = telltale_of(&first);
    __u64 flow = flow_of(&first);

    if (whole) {
        interest->id = id_of(&first);
        if (is_noted(interest->id, interest))
            return true;
    }
    noted = bpf_map_lookup_elem(&noted_skbs, &address);
    if (noted && telltale && noted->telltale == telltale && is_noted(noted->id, interest))
        return true;
    return is_of_flow(flow, interest);
}

static __always_inline void name_function(struct heard_scratch *scratch, __u64 address) {
    static const char format[] = "%ps";

    if (bpf_map_lookup_elem(&drop_functions, &address))
        return;
    bpf_snprintf(scratch->function, sizeof(scratch->function), format, &address, sizeof(address));
    bpf_map_update_elem(&drop_functions, &address, scratch->function, BPF_ANY);
}

static __always_inline void fill_drop(struct heard_drop *drop, struct sk_buff *skb, struct dropped *dropped,
                                      struct interest *interest) {
    struct skb_shared_info *shared = (void *)(skb->head + skb->end);
    __u32 captured = dropped->linear;

    if (captured > HEARD_BYTES)
        captured = HEARD_BYTES;
    drop->at = bpf_ktime_get_ns();
    drop->id = interest->id;
    drop->join = interest->join;
    drop->ifindex = skb->dev->ifindex;
    drop->mtu = skb->dev->mtu;
    drop->flags = skb->dev->flags;
    drop->length = dropped->length + (dropped->tagged ? VLAN_TAG_LEN : 0);
    drop->gso_size = BPF_CORE_READ(shared, gso_size);
    drop->gso_segs = BPF_CORE_READ(shared, gso_segs);
    drop->vlan_tci = dropped->tagged ? skb->vlan_tci : 0;
    drop->vlan_protocol = dropped->tagged ? skb->vlan_proto : 0;
    drop->packet_type = BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type);
    drop->captured = captured;
    forget(captured);
    captured = ((captured - 1) & (HEARD_BYTES - 1)) + 1;
    if (bpf_probe_read_kernel(drop->bytes, captured, dropped->start))
        drop->captured = 0;
}

/* Whether this CPU may tell one more. */
static __always_inline bool may_tell(struct heard_scratch *scratch) {
    __u64 now = scratch->drop.at;

    if (now - scratch->period > HEARD_PERIOD) {
        scratch->period = now;
        scratch->told = 0;
    }
    return scratch->told++ < HEARD_MOST;
}

static __always_inline void tell_drop(struct heard_scratch *scratch, __u32 slot, __u32 serial) {
    struct hearing_counters *counters = bpf_map_lookup_elem(&hearing_counters, &slot);

    if (!counters)
        return;
    counters->heard++;
    scratch->drop.serial = serial;
    if (!may_tell(scratch))
        counters->over_rate++;
    else if (bpf_ringbuf_output(&heard_drops, &scratch->drop, sizeof(scratch->drop), BPF_RB_NO_WAKEUP))
        counters->ring_full++;
    else
        counters->written++;
}

/* The kernel drops a packet. @location an address in the function that does */
static __always_inline void hear(struct sk_buff *skb, __u64 location, __u32 reason) {
    __u32 zero = 0;
    struct hearing *hearing_now = bpf_map_lookup_elem(&hearing, &zero);
    struct heard_scratch *scratch = bpf_map_lookup_elem(&heard_scratch, &zero);
    struct net_device *dev = skb->dev;
    struct interest interest = {};
    struct dropped dropped = {};

    if (!hearing_now || !scratch || !dev)
        return;
    /* What a guest in a container drops, or another node of the same kernel, is not of this node. */
    if (dev->nd_net.net->ns.inum != hearing_now->netns || !find_frame(skb, &dropped))
        return;
    if (!find_interest(skb, &dropped, &interest) || is_copy(hearing_now, skb, dev->ifindex, dropped.tagged))
        return;
    fill_drop(&scratch->drop, skb, &dropped, &interest);
    scratch->drop.function = location;
    scratch->drop.reason = reason;
    name_function(scratch, location);
#pragma unroll
    for (int slot = 0; slot < LOOKS; slot++) {
        __u32 serial = hearing_now->serials[slot];

        if (serial && interest.serials[slot] == serial && scratch->drop.at < hearing_now->ends[slot])
            tell_drop(scratch, slot, serial);
    }
}

#endif
