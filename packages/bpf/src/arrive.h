/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arrive: captures unicast towards a mirrored guest where it enters the guest's bridge, before a
 * firewall on the bridge can drop it. The program is attached to the ingress of the bridge's ports
 * and to the egress of the bridge device. User space copies the bridge's forwarding table, with the
 * port of each MAC address, into the map `arrivals`.
 *
 * The map is a hint: the bridge may send the frame to another port, or send other frames to the
 * guest. So a frame that is accounted for here gets a token, and the capture at the guest's device
 * skips only frames with its token. A frame for a removed device is not captured here: it may be
 * for a guest on another node now, and that node captures it.
 *
 * A guest that moves to another node is behind an uplink from its first frame on. The bridge learns
 * this with the frame, and user space some milliseconds later. While the controller says that a
 * guest may leave, `follow` learns it with the frame, too.
 */
#ifndef MIRRORPLANE_ARRIVE_H
#define MIRRORPLANE_ARRIVE_H

#include "capture.h"

/* Only if the guest's own frames are seen too, because nothing else would clear the flag. */
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
 * As br_fdb_update() in net/bridge/br_fdb.c: a known address moves to the port where it appears as
 * a source address.
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
    /* The token is from another bridge, or from the path through a guest. */
    if (skb->tc_index & ARRIVAL_TOKEN && skb->tc_index != FEEDBACK_TOKEN)
        skb->tc_index = 0;
    if (entered->feedback && is_in_place(skb) && feedback_of(skb) == FEEDBACK_STOPPED)
        return TC_ACT_SHOT;
    follow(skb, entered);
    guest = find_arrival(skb, entered->bridge);
    /*
     * A bridge does not send a frame back to the port that it came from. A frame without room for
     * the token is captured at the guest's device.
     */
    if (!guest || *guest == port || skb->tc_index)
        return TCX_NEXT;
    key.ifindex = *guest;
    capture = bpf_map_lookup_elem(&captures, &key);
    if (capture && is_valid(skb, capture, key.ifindex) && account(skb, &key, capture, TOLD_ON_ARRIVAL)) {
        skb->tc_index = arrival_token(key.ifindex);
        /*
         * If a later tcx program ends the chain with TCX_PASS, the kernel copies the class into the
         * index (net/core/dev.c).
         */
        skb->tc_classid = arrival_token(key.ifindex);
        if (entered->overruled)
            note_counted(skb, key.ifindex);
    }
    return TCX_NEXT;
}

#endif
