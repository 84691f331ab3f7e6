/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hears what the kernel drops, see hear.h. It is an object of its own, because the data plane has to
 * load where this program does not. It shares the maps of the data plane.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "hear.h"

/* The kernel gives a reason since 5.17. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(hear_drop, struct sk_buff *skb, void *location, unsigned int reason) {
    hear(skb, (__u64)location, reason);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
