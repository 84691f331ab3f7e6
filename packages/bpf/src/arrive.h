/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arrive: unicast towards a mirrored guest, captured where it enters the guest's bridge, before a firewall on the
 * bridge can drop it. Hangs on the ingress of the bridge's ports and on the egress of the bridge device. Which MAC
 * address is behind which port is the bridge's own forwarding table, which user space keeps in the map `arrivals`. The
 * capture at the guest's device leaves exactly those frames alone, so that each is copied once.
 *
 * A guest that moves to another node is behind another port from its first frame on. The bridge learns that with the
 * frame, user space some milliseconds later; so `follow` learns it with the frame too.
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

/* As br_fdb_update() in net/bridge/br_fdb.c: an address that is known moves to the port where it is seen as a source.
 */
static __always_inline void follow(struct __sk_buff *skb, struct arrival_port *entered) {
    struct arrival_key key = {.bridge = entered->bridge};
    __u32 *port;

    if (!entered->learns || bpf_skb_load_bytes(skb, 6, key.mac, sizeof(key.mac)))
        return;
    port = bpf_map_lookup_elem(&arrivals, &key);
    /* An address of the bridge itself stays where it is. */
    if (!port || *port == skb->ifindex || *port == entered->bridge)
        return;
    set_standby(*port);
    *port = skb->ifindex;
}

static __always_inline int arrive(struct __sk_buff *skb) {
    struct capture_key key = {.hook = HOOK_EGRESS};
    __u32 port = skb->ifindex;
    struct arrival_port *entered = bpf_map_lookup_elem(&arrival_ports, &port);
    __u32 *guest;

    if (!entered)
        return TCX_NEXT;
    follow(skb, entered);
    guest = find_arrival(skb, entered->bridge);
    /* A frame that comes from the port of the guest itself is not sent back to it. */
    if (!guest || *guest == port)
        return TCX_NEXT;
    key.ifindex = *guest;
    return capture_as(skb, &key, true);
}

#endif
