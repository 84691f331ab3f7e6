/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * probe: a frame that nobody has sent, made for the test of a policy. The agent puts it into the
 * helper device, and it leaves the node as a copy of a capture does, from where that capture hands
 * copies over. Percent and budgets do not apply. It is counted at each hop under its own name (its
 * Ethernet addresses), and in no policy's books. See docs/adr/0055-a-test-with-copies-of-its-own.md.
 */
#ifndef MIRRORPLANE_PROBE_H
#define MIRRORPLANE_PROBE_H

#include "counters.h"
#include "erspan.h"
#include "feedback.h"
#include "packet.h"
#include "super.h"

/*
 * Finds the probe that a packet in the helper device is, and makes it the copy of this CPU. The
 * device of its capture, and the hook, are then in copy->left. False: it is no probe of a test, or
 * has been made already.
 */
__global bool find_probe(struct __sk_buff *skb, struct copy_context *copy) {
    struct probe_counts *counts;
    struct probe_key key;
    struct wire_size size;
    struct probe *probe;

    if (!copy || bpf_skb_load_bytes(skb, 0, &key, sizeof(key)))
        return false;
    probe = bpf_map_lookup_elem(&probes, &key);
    counts = bpf_map_lookup_elem(&probe_counts, &key);
    if (!probe || !counts || __sync_fetch_and_add(&probe->made, 1))
        return false;
    copy->left.packets = probe->ifindex;
    copy->left.bytes = probe->hook;
    if (!skb->gso_size && skb->len < probe->length && bpf_skb_change_tail(skb, probe->length, 0))
        return false;
    measure(skb, &size);
    add(&counts->made, size.packets, size.bytes);
    copy->probe = ERSPAN_PROBE;
    __builtin_memcpy(&copy->probe_key, &key, sizeof(key));
    copy->probe_frame = longest_frame(skb, size.headers);
    copy->slot = NO_SLOT;
    copy->packets = size.packets;
    copy->bytes = size.bytes;
    copy->part = PART_WHOLE;
    copy->handled = 0;
    copy->truncated = 0;
    return true;
}

/*
 * Hands a probe over, as copy_out() does with a copy. Nothing is held for a guest that leaves. Its
 * own function, because 6.1 lets all functions of a call together have 512 bytes of stack.
 */
__global int hand_over(struct __sk_buff *skb, struct copy_context *copy) {
    struct capture_key at = {};
    struct capture *capture;
    __u32 mtu;
    long verdict;

    if (!copy)
        return 0;
    at.ifindex = copy->left.packets;
    at.hook = copy->left.bytes;
    capture = bpf_map_lookup_elem(&captures, &at);
    if (!capture)
        return drop(copy, DROP_NO_DELIVERY);
    copy->delivery = capture->delivery;
    copy->erspan_index = capture->erspan_index;
    mtu = capture->direct_mtu;
    if (mtu && !fits(copy->probe_frame, mtu))
        return drop(copy, DROP_TOO_BIG_FOR_DESTINATION);
    if (mtu && note_address(skb, capture->out_ifindex, capture->delivery) & NOTE_ECHO)
        return drop(copy, DROP_FEEDBACK);
    copy->active = 1;
    verdict = bpf_clone_redirect(skb, capture->out_ifindex, 0);
    copy->active = 0;
    if (copy->handled)
        return 0;
    if (verdict || !mtu)
        return drop(copy, verdict == -ENOMEM ? DROP_CLONE_FAILED : DROP_DESTINATION_DOWN);
    count_copied(copy, false);
    count_probe(copy, PROBE_SENT, copy->packets, copy->bytes);
    return 0;
}

/*
 * A packet in the helper device that is no copy. If it is a probe of a test, it is handed over. The
 * verdict is for the packet itself: like all packets of the host into this device, it is dropped.
 */
static __always_inline int make_probe(struct __sk_buff *skb, struct copy_context *copy) {
    if (find_probe(skb, copy)) {
        hand_over(skb, copy);
        copy->probe = 0;
    }
    return TC_ACT_SHOT;
}

static __always_inline bool is_probe(struct erspan_headers *headers) {
    return headers->index & bpf_htonl(ERSPAN_PROBE);
}

/*
 * Where a received probe is counted instead of the termination. NULL: no test of this node expects
 * it.
 */
static __always_inline struct termination_counters *probe_end(struct __sk_buff *skb) {
    struct probe_counts *counts;
    struct probe_key key;

    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN + ERSPAN_HEADERS_LEN, &key, sizeof(key)))
        return NULL;
    counts = bpf_map_lookup_elem(&probe_counts, &key);
    return counts ? &counts->end : NULL;
}

#endif
