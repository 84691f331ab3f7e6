/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hold: keeps copies for a guest that is about to leave. A guest stops, and this node learns it
 * later. Copies that are put into the tap in between are not read, and are lost with the tap. So
 * while the destination migrates, each copy gets a number, and a second clone of it goes into the
 * hold queue: the peer of the helper device, behind a qdisc that lets little through and keeps the
 * newest copies. The number is the mark of both clones. The kernel reports to `read_copy` every
 * packet that the guest takes out of the tap. A copy that comes out of the queue is dropped if it
 * has been read. Otherwise it goes back into the queue, or, after the guest has left, to the node
 * where the guest is.
 */
#ifndef MIRRORPLANE_HOLD_H
#define MIRRORPLANE_HOLD_H

#include <bpf/bpf_tracing.h>

#include "counters.h"
#include "packet.h"
#include "skb.h"

/*
 * The mark of a numbered copy: these 12 bits, and the number in the lower bits. An original has
 * such a mark only by chance.
 */
#define HOLD_MARK 0x5a700000
#define HOLD_MARK_MASK 0xfff00000

static __always_inline struct held_copy *held_copy(__u32 mark) {
    __u32 number = mark & ~HOLD_MARK_MASK;
    __u32 slot = number % HELD_COPIES;
    struct held_copy *held = bpf_map_lookup_elem(&held_copies, &slot);

    return held && held->number == number ? held : NULL;
}

/*
 * Numbers a copy that is about to go into the tap `ifindex`, and puts a clone of it into the hold
 * queue. The mark of `skb` is then the number. False if the copy is not held. A held copy reaches
 * the guest even if the tap refuses it.
 */
static __always_inline bool hold(struct __sk_buff *skb, __u32 ifindex, struct copy_context *copy, __u32 truncated) {
    struct hold_counts *counts = bpf_map_lookup_elem(&hold_counts, &ifindex);
    struct hold *hold = bpf_map_lookup_elem(&holds, &ifindex);
    struct held_copy *held;
    __u32 zero = 0;
    __u32 number;
    __u32 slot;
    __u64 *next = bpf_map_lookup_elem(&hold_numbers, &zero);

    if (!hold || !counts || !next)
        return false;
    number = __sync_fetch_and_add(next, 1) & ~HOLD_MARK_MASK;
    slot = number % HELD_COPIES;
    held = bpf_map_lookup_elem(&held_copies, &slot);
    if (!held)
        return false;
    held->number = number;
    held->ifindex = ifindex;
    held->delivery = copy->delivery;
    held->erspan_index = copy->erspan_index;
    held->truncated = truncated;
    held->packets = copy->packets;
    held->read = 0;
    held->handed_at = bpf_ktime_get_ns();
    __sync_fetch_and_add(&counts->handed, copy->packets);
    skb->mark = HOLD_MARK | number;
    return !bpf_clone_redirect(skb, hold->queue, 0);
}

/*
 * Whether this is a worker of vhost-net. It ends with the guest, and the guest gets everything that
 * the worker takes out of a tap.
 */
static __always_inline bool is_vhost(void) {
    char comm[16] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    return comm[0] == 'v' && comm[1] == 'h' && comm[2] == 'o' && comm[3] == 's' && comm[4] == 't' && comm[5] == '-';
}

/* If a packet has waited longer than this, ns, its reader was not waiting for packets. */
#define PROMPT 1000000
/* A packet that was read so long ago, ns, was read by a running guest. */
#define DOUBT 1000000000

/*
 * QEMU without vhost-net continues for a moment after its guest has stopped. It takes one packet
 * out of the tap, finds that the guest does not accept it, and waits for the guest. It does so once
 * more when the migration continues. Both packets are lost. So the last two reads are unconfirmed.
 * All reads since the last pair of reads without delay are unconfirmed too, because a third read
 * after such a pair is not one of QEMU's two.
 */
static __always_inline void count_read(struct hold_counts *counts, struct held_copy *held) {
    __u64 now = bpf_ktime_get_ns();
    __u64 since = held->handed_at > counts->last_read ? held->handed_at : counts->last_read;
    bool prompt = now - since < PROMPT;

    if (prompt && counts->prompt)
        counts->confirmed = counts->reads - 1;
    counts->prompt = prompt;
    held->read = ++counts->reads;
    held->read_at = now;
    if (is_vhost())
        counts->confirmed = counts->reads;
    counts->last_read = now;
    __sync_fetch_and_add(&counts->read, held->packets);
}

static __always_inline bool has_reached_guest(struct hold_counts *counts, struct held_copy *held) {
    if (!held->read)
        return false;
    if (held->read <= counts->confirmed)
        return true;
    /* If unread copies follow, it may be one of the packets that the guest did not accept. */
    return counts->handed == counts->read && bpf_ktime_get_ns() - held->read_at > DOUBT;
}

/*
 * The kernel frees a packet that a reader has taken. If it is a numbered copy in a tap, the guest
 * has read it.
 */
static __always_inline void read_packet(struct sk_buff *skb) {
    struct hold_counts *counts;
    struct held_copy *held;
    struct hold *hold;
    __u32 mark = skb->mark;
    __u32 ifindex;

    if ((mark & HOLD_MARK_MASK) != HOLD_MARK)
        return;
    held = held_copy(mark);
    ifindex = skb->dev->ifindex;
    hold = bpf_map_lookup_elem(&holds, &ifindex);
    counts = bpf_map_lookup_elem(&hold_counts, &ifindex);
    if (!held || !hold || !counts || held->ifindex != ifindex || skb->dev->nd_net.net->ns.inum != hold->netns)
        return;
    if (!held->read)
        count_read(counts, held);
}

/* A copy that comes out of the hold queue. */
static __always_inline int release(struct __sk_buff *skb) {
    struct hold_counts *counts;
    struct copy_context *copy = this_copy();
    struct delivery *delivery;
    struct held_copy *held;
    struct wire_size size;
    struct hold *hold;
    __u32 ifindex;

    if ((skb->mark & HOLD_MARK_MASK) != HOLD_MARK)
        return TC_ACT_SHOT;
    held = held_copy(skb->mark);
    if (!held || !copy)
        return TC_ACT_SHOT;
    ifindex = held->ifindex;
    hold = bpf_map_lookup_elem(&holds, &ifindex);
    counts = bpf_map_lookup_elem(&hold_counts, &ifindex);
    if (!hold || !counts || has_reached_guest(counts, held))
        return TC_ACT_SHOT;
    if (!hold->released)
        return bpf_redirect(hold->queue, 0);
    delivery = bpf_map_lookup_elem(&deliveries, &held->delivery);
    if (!delivery)
        return TC_ACT_SHOT;
    measure(skb, &size);
    copy->slot = NO_SLOT; /* its capture has already counted it */
    copy->delivery = delivery->forward;
    copy->erspan_index = held->erspan_index;
    copy->packets = size.packets;
    copy->bytes = size.bytes;
    copy->truncated = held->truncated;
    copy->part = PART_WHOLE;
    copy->handled = 0;
    copy->failed = 0;
    copy->active = 1;
    bpf_clone_redirect(skb, skb->ifindex, 0);
    copy->active = 0;
    if (copy->handled && !copy->failed) {
        __sync_fetch_and_add(&counts->relayed, held->packets);
        if (held->read)
            __sync_fetch_and_add(&counts->unconfirmed, held->packets);
    }
    return TC_ACT_SHOT;
}

#endif
