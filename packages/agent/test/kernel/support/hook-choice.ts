/** Which kind of hook the kernel tests of this run ask for. */
import type { HookChoice } from '../../../src/datapath/kernel/hook-kind.ts';

/** MIRRORPLANE_HOOK, as for an agent. Default `auto`. */
export const HOOK = (process.env.MIRRORPLANE_HOOK ?? 'auto') as HookChoice;
