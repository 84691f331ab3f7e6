/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arrive: unicast towards a mirrored guest, captured where it enters the guest's bridge, before a firewall on the
 * bridge can drop it. Hangs on the ingress of the bridge's ports and on the egress of the bridge device. Which MAC
 * address is behind which port user space reads from the bridge's forwarding table into the map `arrivals`.
 *
 * That map is a hint: the bridge may send the frame elsewhere, or send another one to the guest. So a frame that is
 * accounted for here gets a token, and the capture at the guest's device leaves alone only what has its token. A frame
 * for a device that is gone is left alone: it may be on its way to the node where the guest is now, which captures it.
 *
 * A guest that moves to another node is behind an uplink from its first frame on. The bridge learns that with the
 * frame, user space some milliseconds later. While the controller says that a guest may leave, `follow` learns it with
 * the frame.
 */
#ifndef MIRRORPLANE_ARRIVE_H
#define MIRRORPLANE_ARRIVE_H

#include "capture.h"

/* Only where the guest's own frames are seen too: without them nothing would take the flag away again. */
static __always_inline void set_standby(__u32 ifindex) {
    struct capture_key key = {.ifindex = ifindex, .hook = HOOK_INGRESS};
    struct capture *capture = bpf_map_lookup_elem(&captures, &key);

    if (!capture)
        return;
    capture->flags |= CAPTURE_STANDBY;
    key.hook = HOOK_EGRESS;
    capture = bpf_map_lookup_elem(&captures, &key);
    if (capture)
        capture->flags |= CAPTURE_STANDBY;
}

/*
 * As br_fdb_update() in net/bridge/br_fdb.c: an address that is known moves to the port where it is seen as a source.
 */
static __always_inline void follow(struct __sk_buff *skb, struct arrival_port *entered) {
    struct arrival_key key = {.bridge = entered->bridge};
    struct capture_key guest = {.hook = HOOK_EGRESS};
    struct capture *capture;
    __u32 *port;

    if (!entered->uplink || bpf_skb_load_bytes(skb, 6, key.mac, sizeof(key.mac)))
        return;
    port = bpf_map_lookup_elem(&arrivals, &key);
    /* An address of the bridge itself stays where it is. */
    if (!port || *port == skb->ifindex || *port == entered->bridge)
        return;
    guest.ifindex = *port;
    capture = bpf_map_lookup_elem(&captures, &guest);
    if (!capture || !(capture->flags & CAPTURE_HANDOVER))
        return;
    set_standby(*port);
    *port = skb->ifindex;
}

static __always_inline int arrive(struct __sk_buff *skb) {
    struct capture_key key = {.hook = HOOK_EGRESS};
    __u32 port = skb->ifindex;
    struct arrival_port *entered = bpf_map_lookup_elem(&arrival_ports, &port);
    struct capture *capture;
    __u32 *guest;

    if (!entered)
        return TCX_NEXT;
    /* Of another bridge, or of the way through a guest. */
    if (skb->tc_index & ARRIVAL_TOKEN && skb->tc_index != FEEDBACK_TOKEN)
        skb->tc_index = 0;
    if (entered->feedback && is_in_place(skb) && feedback_of(skb) == FEEDBACK_STOPPED)
        return TC_ACT_SHOT;
    follow(skb, entered);
    guest = find_arrival(skb, entered->bridge);
    /* A frame that comes from the port of the guest itself is not sent back to it; one that has no room for the token
     * is captured there. */
    if (!guest || *guest == port || skb->tc_index)
        return TCX_NEXT;
    key.ifindex = *guest;
    capture = bpf_map_lookup_elem(&captures, &key);
    if (capture && is_valid(skb, capture, key.ifindex) && account(skb, &key, capture)) {
        skb->tc_index = arrival_token(key.ifindex);
        /* A later program at tcx that ends the chain with TCX_PASS makes the class the index (net/core/dev.c). */
        skb->tc_classid = arrival_token(key.ifindex);
        if (entered->overruled)
            note_counted(skb, key.ifindex);
    }
    return TCX_NEXT;
}

#endif
