/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * counted: if filters of other software run after `arrive`, their verdict removes the token (see
 * arrive.h). There, each frame that is accounted for is recorded by its content, and the capture at
 * the guest's device skips as many frames of this content as were recorded. A frame that a firewall
 * drops stays recorded for a second.
 */
#ifndef MIRRORPLANE_COUNTED_H
#define MIRRORPLANE_COUNTED_H

#include "feedback.h"
#include "maps.h"

/* The longest time that a frame may take through the bridge, with queues to user space, ns. */
#define COUNTED_MEMORY 1000000000ULL

/* A frame has been accounted for on arrival, as one for this port. */
__global int note_counted(struct __sk_buff *skb, __u32 ifindex) {
    struct counted_key key = {.ifindex = ifindex};
    __u64 now = bpf_ktime_get_ns();
    struct counted fresh = {.at = now, .frames = 1};
    struct counted *counted;

    key.hash = frame_hash(skb);
    counted = bpf_map_lookup_elem(&counted_frames, &key);
    if (!counted || now - counted->at > COUNTED_MEMORY) {
        bpf_map_update_elem(&counted_frames, &key, &fresh, BPF_ANY);
        return 0;
    }
    counted->at = now;
    __sync_fetch_and_add(&counted->frames, 1);
    return 0;
}

/* True if a frame for this port was accounted for on arrival. Its record is then removed. */
__global bool was_counted(struct __sk_buff *skb, __u32 ifindex) {
    struct counted_key key = {.ifindex = ifindex};
    struct counted *counted;

    key.hash = frame_hash(skb);
    counted = bpf_map_lookup_elem(&counted_frames, &key);
    if (!counted || !counted->frames || bpf_ktime_get_ns() - counted->at > COUNTED_MEMORY)
        return false;
    __sync_fetch_and_sub(&counted->frames, 1);
    return true;
}

#endif
