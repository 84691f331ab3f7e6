/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* capture: decides whether and how a packet is copied. The original always continues unchanged. */
#ifndef MIRRORPLANE_CAPTURE_H
#define MIRRORPLANE_CAPTURE_H

#include "budget.h"
#include "counted.h"
#include "counters.h"
#include "fate.h"
#include "feedback.h"
#include "guard.h"
#include "hold.h"
#include "packet.h"
#include "place.h"
#include "token.h"

/* Threshold of a capture that copies everything. No random number is drawn then. */
#define COPY_ALL (1ULL << 32)

static __always_inline void copy_out(struct __sk_buff *skb, struct capture *capture, struct capture_counters *counters,
                                     struct copy_context *copy, __u32 length) {
    bool direct = capture->direct_mtu != 0;
    __u32 mark = skb->mark;
    long verdict;

    copy->handled = 0;
    copy->part = PART_WHOLE;
    copy->delivery = capture->delivery;
    copy->erspan_index = capture->erspan_index;
    if (direct && !fits(length, capture->direct_mtu)) {
        count_dropped(copy, DROP_TOO_BIG_FOR_DESTINATION);
        return;
    }
    if (direct && note_source(skb, copy, capture->out_ifindex, capture->delivery)) {
        count_dropped(copy, DROP_FEEDBACK);
        return;
    }
    copy->truncated = 0;
    copy->active = 1;
    if (capture->flags & CAPTURE_HOLD) {
        bool held = hold(skb, capture->out_ifindex, copy, 0);

        verdict = bpf_clone_redirect(skb, capture->out_ifindex, 0);
        if (held)
            verdict = 0;
        skb->mark = mark;
    } else {
        verdict = bpf_clone_redirect(skb, capture->out_ifindex, 0);
    }
    copy->active = 0;
    if (copy->handled)
        return;
    if (!verdict && direct) {
        add(&counters->copied, copy->packets, copy->bytes);
        copy->outcome = FATE_COPIED;
        count_sent(capture->delivery, copy->packets, copy->bytes);
    } else {
        count_dropped(copy, verdict == -ENOMEM ? DROP_CLONE_FAILED : DROP_DESTINATION_DOWN);
    }
}

/* Addresses that a bridge does not forward: 01:80:c2:00:00:00 to 0f (IEEE 802.1Q, 8.6.3). */
static __always_inline bool is_bridge_group(const __u8 mac[6]) {
    return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && !mac[3] && !mac[4] && mac[5] < 16;
}

static __always_inline bool is_broadcast(const __u8 mac[6]) {
    return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

/*
 * The mirrored port that this frame goes to, if it is known when the frame enters the bridge. NULL
 * for all other frames. If a bridge can only send to one guest's port, the zero address stands for
 * unicast that the bridge has not learned, 01:00:00:00:00:00 for multicast, and broadcast for
 * itself.
 */
static __always_inline __u32 *find_arrival(struct __sk_buff *skb, __u32 bridge) {
    struct arrival_key key = {.bridge = bridge};
    __u32 *port;

    if (bpf_skb_load_bytes(skb, 0, key.mac, sizeof(key.mac)))
        return NULL;
    if (key.mac[0] & 1) {
        if (is_bridge_group(key.mac))
            return NULL;
        if (!is_broadcast(key.mac)) {
            __builtin_memset(key.mac, 0, sizeof(key.mac));
            key.mac[0] = 1;
        }
        return bpf_map_lookup_elem(&arrivals, &key);
    }
    port = bpf_map_lookup_elem(&arrivals, &key);
    if (port)
        return port;
    __builtin_memset(key.mac, 0, sizeof(key.mac));
    return bpf_map_lookup_elem(&arrivals, &key);
}

/* The reason why a packet of a mirrored device does not belong to the capture, or -1 if it does. */
static __always_inline int skip_reason(struct __sk_buff *skb, struct capture *capture, __u32 hook,
                                       struct copy_context *copy) {
    if (copy->active || skb->tc_index == FEEDBACK_TOKEN)
        return SKIP_IS_COPY;
    if (capture->skip_vlan_id && outer_vlan_id(skb) == capture->skip_vlan_id)
        return SKIP_SAME_VLAN;
    if (capture->flags & CAPTURE_EDGE) {
        if (is_returned_copy(skb, hook, true))
            return SKIP_IS_COPY;
        if (is_host_traffic(skb, hook))
            return SKIP_HOST_TRAFFIC;
    } else if (hook == HOOK_EGRESS && is_returned_copy(skb, hook, false)) {
        return SKIP_IS_COPY;
    }
    return -1;
}

/*
 * A capture at a device of a guest that is on another node (CAPTURE_STANDBY). Returns false if the
 * frame must be skipped. The guest's first frame comes before all answers to it, so nothing is
 * missed.
 */
static __always_inline bool wake(struct capture *capture, struct capture_key *key) {
    struct capture_key other = {.ifindex = key->ifindex, .hook = HOOK_EGRESS};

    if (key->hook == HOOK_EGRESS)
        return false;
    capture->flags &= ~CAPTURE_STANDBY;
    capture = bpf_map_lookup_elem(&captures, &other);
    if (capture)
        capture->flags &= ~CAPTURE_STANDBY;
    return true;
}

/*
 * Counts a packet, and copies it where it is to be copied. Returns what became of its copy, an enum
 * copy_fate.
 */
static __always_inline __u32 judge(struct __sk_buff *skb, struct capture_key *key, struct capture *capture,
                                   struct capture_counters *counters, struct copy_context *copy) {
    struct wire_size size;
    int reason;

    measure(skb, &size);
    reason = skip_reason(skb, capture, key->hook, copy);
    if (reason < 0 && capture->flags & (CAPTURE_STANDBY | CAPTURE_WATCH)) {
        if (capture->flags & CAPTURE_STANDBY && !wake(capture, key))
            reason = SKIP_GUEST_ABSENT;
        else if (capture->flags & CAPTURE_WATCH)
            return FATE_NO_CAPTURE;
    }
    if (reason >= 0) {
        if (reason < SKIP_REASON_COUNT) /* for the verifier */
            add(&counters->skipped[reason], size.packets, size.bytes);
        return FATE_SKIPPED + reason;
    }
    add(&counters->matched, size.packets, size.bytes);
    if (capture->threshold < COPY_ALL && bpf_get_prandom_u32() >= capture->threshold) {
        add(&counters->sampled_out, size.packets, size.bytes);
        return FATE_SAMPLED_OUT;
    }
    copy->slot = capture->slot;
    copy->packets = size.packets;
    copy->bytes = size.bytes;
    copy->outcome = FATE_NO_CAPTURE;
    if (is_within_budget(capture, size.packets, size.bytes))
        copy_out(skb, capture, counters, copy, longest_frame(skb, size.headers));
    else
        count_dropped(copy, DROP_OVER_BUDGET);
    return copy->outcome;
}

/*
 * Captures a packet as one that passes `key`, by the capture there. True where it is accounted for,
 * whatever became of it.
 */
static __always_inline bool account(struct __sk_buff *skb, struct capture_key *key, struct capture *capture,
                                    enum told whose) {
    struct capture_counters *counters = bpf_map_lookup_elem(&capture_counters, &capture->slot);
    struct copy_context *copy = this_copy();
    __u32 fate;

    if (!counters || !copy)
        return false;
    fate = judge(skb, key, capture, counters, copy);
    tell_fate(copy, whose, skb->ifindex, key->hook, fate);
    return true;
}

static __always_inline int capture(struct __sk_buff *skb, enum hook hook) {
    struct capture_key key = {.ifindex = skb->ifindex, .hook = hook};
    struct capture *capture;

    if (hook == HOOK_EGRESS && skb->tc_index == arrival_token(key.ifindex)) {
        skb->tc_index = 0;
        tell_counted(key.ifindex);
        return TCX_NEXT;
    }
    capture = bpf_map_lookup_elem(&captures, &key);
    if (!capture || !is_valid(skb, capture, key.ifindex))
        return TCX_NEXT;
    if (hook == HOOK_EGRESS && capture->flags & CAPTURE_OVERRULED && was_counted(skb, key.ifindex)) {
        tell_counted(key.ifindex);
        return TCX_NEXT;
    }
    if (hook == HOOK_INGRESS && capture->flags & CAPTURE_FEEDBACK && feedback_beside_arrive(skb) == FEEDBACK_STOPPED)
        return TC_ACT_SHOT;
    account(skb, &key, capture, TOLD_AT_DEVICE);
    return TCX_NEXT;
}

#endif
