/** The agent as a part of another process. */
export type { HookChoice } from './datapath/kernel/hook-kind.ts';
export { HOOK_OPTION } from './hook-option.ts';
export { requireFit } from './preflight/index.ts';
export { layDownRights } from './preflight/lay-down-rights.ts';
export { AGENT_CAPABILITIES } from './preflight/rights.ts';
export {
  AGENT_VERSION,
  type AgentOptions,
  DEFAULT_BPFFS,
  kernelDatapath,
  type RunningAgent,
  startAgent,
} from './start.ts';
export { uninstall } from './uninstall.ts';
