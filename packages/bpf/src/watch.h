/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * watch: a bounded look at packets on their way, for someone who searches a fault. It is attached
 * behind the programs that capture, and only during a look: at the device of a guest, and where
 * frames enter its bridge. Copies nothing, counts in no policy's books, and changes no packet. See
 * docs/adr/0047-the-watch.md.
 */
#ifndef MIRRORPLANE_WATCH_H
#define MIRRORPLANE_WATCH_H

#include "budget.h"
#include "fate.h"
#include "identity.h"
#include "note.h"
#include "packet.h"
#include "place.h"
#include "words.h"

/* What one packet costs in the bucket of packets. */
#define PACKET_TOKENS 1000

/* How a look meets a packet: a number, since a global function takes five arguments. */
#define SIGHT(place, hook, fate) ((place) << 16 | (hook) << 8 | (fate))

/* Takes a packet out of the rate of a look. */
static __always_inline bool is_within_rate(struct look *look, __u32 slot, __u32 bytes) {
    struct look_buckets *buckets = bpf_map_lookup_elem(&look_buckets, &slot);
    struct budget packet_rate = look->packets;
    struct budget byte_rate = look->bytes;
    __u64 now = bpf_ktime_get_ns();
    bool enough;

    if (!buckets)
        return false;
    bpf_spin_lock(&buckets->lock);
    fill(&buckets->packets, packet_rate.rate, packet_rate.burst, now);
    fill(&buckets->bytes, byte_rate.rate, byte_rate.burst, now);
    enough = buckets->packets.tokens >= PACKET_TOKENS && buckets->bytes.tokens >= bytes;
    if (enough) {
        buckets->packets.tokens -= PACKET_TOKENS;
        buckets->bytes.tokens -= bytes;
    }
    bpf_spin_unlock(&buckets->lock);
    return enough;
}

/* True where it is in the ring. `captured` is not 0. */
static __always_inline bool write_record(struct __sk_buff *skb, struct look *look, __u32 slot, __u32 sight,
                                         __u32 captured) {
    __u32 zero = 0;
    struct look_record *record = bpf_map_lookup_elem(&look_scratch, &zero);
    struct wire_size size;

    if (!record)
        return false;
    measure(skb, &size);
    record->at = bpf_ktime_get_ns();
    record->id = note_packet(skb, slot, look->serial);
    record->serial = look->serial;
    record->ifindex = skb->ifindex;
    record->length = skb->len + (skb->vlan_present ? VLAN_TAG_LEN : 0);
    record->captured = captured;
    record->gso_size = skb->gso_size;
    record->packets = size.packets;
    record->vlan_tci = skb->vlan_present ? skb->vlan_tci : 0;
    record->vlan_protocol = skb->vlan_present ? skb->vlan_proto : 0;
    record->place = sight >> 16;
    record->hook = sight >> 8;
    record->fate = sight;
    forget(captured);
    captured = ((captured - 1) & (LOOK_BYTES - 1)) + 1;
    if (bpf_skb_load_bytes(skb, 0, record->bytes, captured))
        return false;
    return !bpf_ringbuf_output(&look_records, record, LOOK_RECORD_HEAD + captured, BPF_RB_NO_WAKEUP);
}

/* One look at one packet. */
__global int look_at(struct __sk_buff *skb, __u32 slot, __u32 sight, struct frame *frame) {
    struct look *look = bpf_map_lookup_elem(&looks, &slot);
    struct look_counters *counters = bpf_map_lookup_elem(&look_counters, &slot);
    __u32 captured = skb->len;

    if (!look || !counters || !frame || !captured)
        return 0;
    if (bpf_ktime_get_ns() >= look->ends || !(look->fates >> (sight & 63) & 1) || !is_asked_for(look, frame))
        return 0;
    if (captured > look->length)
        captured = look->length;
    if (captured > LOOK_BYTES)
        captured = LOOK_BYTES;
    counters->seen++;
    if (!is_within_rate(look, slot, LOOK_RECORD_HEAD + captured))
        counters->over_rate++;
    else if (write_record(skb, look, slot, sight, captured))
        counters->written++;
    else
        counters->ring_full++;
    return 0;
}

/*
 * Looks at guests that this frame is on its way to, as bits. What a bridge sends to all is on its
 * way to each.
 */
static __always_inline __u32 looks_ahead(struct __sk_buff *skb, struct look_hook *here) {
    struct arrival_key key = {.bridge = here->bridge};
    struct look_guest *guest;

    if (!here->entering || bpf_skb_load_bytes(skb, 0, key.mac, sizeof(key.mac)))
        return 0;
    if (key.mac[0] & 1)
        return here->entering;
    guest = bpf_map_lookup_elem(&look_guests, &key);
    return guest && guest->ifindex != skb->ifindex ? guest->looks : 0;
}

static __always_inline void look_all(struct __sk_buff *skb, __u32 looks, __u32 sight, struct frame *frame) {
    for (__u32 slot = 0; slot < LOOKS; slot++) {
        if (looks & 1 << slot)
            look_at(skb, slot, sight, frame);
    }
}

static __always_inline int watch(struct __sk_buff *skb, enum hook hook) {
    struct capture_key key = {.ifindex = skb->ifindex, .hook = hook};
    struct look_hook *here = bpf_map_lookup_elem(&look_hooks, &key);
    struct copy_context *copy = this_copy();
    struct frame frame = {};
    __u32 at_device;
    __u32 on_arrival;
    __u32 ahead;

    if (!here || !copy || !is_in_place(skb))
        return TCX_NEXT;
    at_device = take_fate(copy, TOLD_AT_DEVICE, key.ifindex, hook);
    on_arrival = take_fate(copy, TOLD_ON_ARRIVAL, key.ifindex, HOOK_EGRESS);
    ahead = looks_ahead(skb, here);
    if (!(here->own | ahead))
        return TCX_NEXT;
    read_frame(skb, &frame);
    look_all(skb, ahead, SIGHT(PLACE_ARRIVED, hook, on_arrival), &frame);
    look_all(skb, here->own, SIGHT(here->own_place, hook, at_device), &frame);
    return TCX_NEXT;
}

#endif
