/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* note: what looks have written, for who hears that the kernel drops it, see hear.h. */
#ifndef MIRRORPLANE_NOTE_H
#define MIRRORPLANE_NOTE_H

#include "identity.h"
#include "maps.h"

static __always_inline void note_id(__u64 id, __u64 skb, __u32 slot, __u32 serial) {
    struct noted_packet *known = bpf_map_lookup_elem(&noted_packets, &id);
    struct noted_packet fresh = {.skb = skb};

    if (known) {
        known->skb = skb;
        known->serials[slot & (LOOKS - 1)] = serial;
        return;
    }
    fresh.serials[slot & (LOOKS - 1)] = serial;
    bpf_map_update_elem(&noted_packets, &id, &fresh, BPF_ANY);
}

/* Segments that a super-packet becomes have ids of their own. */
static __always_inline void note_flow(__u64 flow, __u32 slot, __u32 serial) {
    struct noted_flow *known = bpf_map_lookup_elem(&noted_flows, &flow);
    struct noted_flow fresh = {.at = bpf_ktime_get_ns()};

    if (known) {
        known->at = fresh.at;
        known->serials[slot & (LOOKS - 1)] = serial;
        return;
    }
    fresh.serials[slot & (LOOKS - 1)] = serial;
    bpf_map_update_elem(&noted_flows, &flow, &fresh, BPF_ANY);
}

/* Notes a packet that a look sees now. Returns its id, 0: it has none. */
static __always_inline __u64 note_packet(struct __sk_buff *skb, __u32 slot, __u32 serial) {
    struct first_bytes first = {};
    struct noted_skb noted;
    __u64 address = (__u64)skb; /* the context of a tc program is the kernel's sk_buff */
    __u64 flow;

    if (!read_first(skb, &first))
        return 0;
    flow = skb->gso_size ? flow_of(&first) : 0;
    noted.telltale = telltale_of(&first);
    noted.id = id_of(&first);
    if (flow)
        note_flow(flow, slot, serial);
    bpf_map_update_elem(&noted_skbs, &address, &noted, BPF_ANY);
    note_id(noted.id, address, slot, serial);
    return noted.id;
}

#endif
