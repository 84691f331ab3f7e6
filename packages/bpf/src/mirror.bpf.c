/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The data plane of Mirrorplane: thin entry points over one header a concern. See docs/data-plane.md. */
#include <stdbool.h>
#include <asm-generic/errno-base.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TCX_NEXT (-1) /* enum tcx_action_base; newer than the headers of Debian 12 */

#include "arrive.h"
#include "capture.h"
#include "feedback.h"
#include "hold.h"
#include "terminate.h"
#include "transform.h"
#include "watch.h"

SEC("tc")
int capture_ingress(struct __sk_buff *skb) {
    return capture(skb, HOOK_INGRESS);
}

SEC("tc")
int capture_egress(struct __sk_buff *skb) {
    return capture(skb, HOOK_EGRESS);
}

SEC("tc")
int arrive_ingress(struct __sk_buff *skb) {
    return arrive(skb);
}

SEC("tc")
int arrive_egress(struct __sk_buff *skb) {
    return arrive(skb);
}

SEC("tc")
int feedback_ingress(struct __sk_buff *skb) {
    return stop_feedback(skb);
}

SEC("tc")
int feedback_egress(struct __sk_buff *skb) {
    return note_original(skb);
}

SEC("tc")
int transform_copy(struct __sk_buff *skb) {
    return transform(skb);
}

SEC("tc")
int terminate_erspan(struct __sk_buff *skb) {
    return terminate(skb);
}

SEC("tc")
int release_held(struct __sk_buff *skb) {
    return release(skb);
}

SEC("tc")
int watch_ingress(struct __sk_buff *skb) {
    return watch(skb, HOOK_INGRESS);
}

SEC("tc")
int watch_egress(struct __sk_buff *skb) {
    return watch(skb, HOOK_EGRESS);
}

SEC("tp_btf/consume_skb")
int BPF_PROG(read_copy, struct sk_buff *skb) {
    read_packet(skb);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
