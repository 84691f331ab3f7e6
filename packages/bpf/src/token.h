/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * token: what skb->tc_index says of a packet on its way through this node. The kernel keeps the field through bridges,
 * firewalls, queues to user space, fragmentation and segmentation, and nobody else has used its upper half since
 * cls_tcindex went (6.3). It never leaves the node.
 */
#ifndef MIRRORPLANE_TOKEN_H
#define MIRRORPLANE_TOKEN_H

#include "types.h"

/* This bit alone: the packet may pass, and is not to be captured, see feedback.h. */
#define FEEDBACK_TOKEN 0x8000

/* With others: it has been accounted for where it arrived, as one for that port, see arrive.h. */
#define ARRIVAL_TOKEN 0x8000

static __always_inline __u32 arrival_token(__u32 ifindex) {
    return ARRIVAL_TOKEN | (ifindex % (ARRIVAL_TOKEN - 1) + 1);
}

#endif
