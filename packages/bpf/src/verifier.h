/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verifier: what the source has to say so that every compiler makes code that every verifier takes. `make kernels`
 * tries them all; docs/kernels.md has the table.
 */
#ifndef MIRRORPLANE_VERIFIER_H
#define MIRRORPLANE_VERIFIER_H

#include <bpf/bpf_helpers.h>

/*
 * A global function: the verifier checks it once, for any arguments, and not again for each way that leads to it
 * (Documentation/bpf/verifier.rst). Its pointers have to be checked for NULL. Weak: else the compiler uses what it
 * knows of the body at the call, where the verifier knows nothing of it.
 */
#define __global __weak __attribute__((noinline))

/*
 * Makes the compiler forget what it knows of a number, so that it keeps the bound that comes next. Without this it
 * drops a bound that it can prove, and a verifier that can't prove it refuses the program: before 6.18 a byte swap
 * ends what is known of a number, and in 6.1 so does a spill of 32 bits.
 */
#define forget(number) asm volatile("" : "+r"(number))

#endif
