/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * token: marks in skb->tc_index of a packet on its way through this node. The kernel keeps the
 * field in bridges, firewalls, queues to user space, fragmentation and segmentation. No other code
 * has used its upper half since cls_tcindex was removed (6.3). The field never leaves the node.
 */
#ifndef MIRRORPLANE_TOKEN_H
#define MIRRORPLANE_TOKEN_H

#include "types.h"

/* This bit alone: the packet may pass, and must not be captured, see feedback.h. */
#define FEEDBACK_TOKEN 0x8000

/*
 * With other bits: the packet has been accounted for on arrival, as one for this port, see
 * arrive.h.
 */
#define ARRIVAL_TOKEN 0x8000

static __always_inline __u32 arrival_token(__u32 ifindex) {
    return ARRIVAL_TOKEN | (ifindex % (ARRIVAL_TOKEN - 1) + 1);
}

#endif
