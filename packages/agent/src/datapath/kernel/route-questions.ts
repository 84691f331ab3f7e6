/** Whether the data plane may ask the kernel for routes of copies, see next-hop.h. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { RtClient } from '../../netlink/rt-client.ts';
import { hasRulesOfDevices } from '../../netlink/rules.ts';

/**
 * The kernel answers BPF programs only about packets from a device that forwards, so the helper
 * device does. Nothing comes out of it that the node would forward: its frames have link-layer
 * addresses of others. Where rules of the node look at devices, it does not forward. Then the
 * kernel looks for the route of each copy as for all that the node sends.
 * @param helper name of the helper device
 */
export async function answerRoutes(client: RtClient, helper: string): Promise<void> {
  const wanted = (await hasRulesOfDevices(client)) ? '0' : '1';
  const sysctl = `/proc/sys/net/ipv4/conf/${helper}/forwarding`;
  if (existsSync(sysctl) && readFileSync(sysctl, 'utf8').trim() !== wanted) {
    writeFileSync(sysctl, wanted);
  }
}
