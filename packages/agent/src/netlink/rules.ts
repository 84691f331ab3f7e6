/** The rules by which the kernel chooses a table of routes (ip-rule). */
import type { RtClient } from './rt-client.ts';
import { AF_INET, attributes, RTM } from './rtnetlink.ts';

/** struct fib_rule_hdr, include/uapi/linux/fib_rules.h. */
const FIB_RULE_HDR = 12;
const FRA = { IIFNAME: 3, OIFNAME: 17, L3MDEV: 19 } as const;

/**
 * Whether an IPv4 rule looks at the device that a packet comes from or leaves by. Then the route of
 * a packet that the node sends may be another one than that of a packet that it forwards.
 */
export async function hasRulesOfDevices(client: RtClient): Promise<boolean> {
  const header = Buffer.alloc(FIB_RULE_HDR);
  header[0] = AF_INET;
  const rules = await client.dump(RTM.GETRULE, header);
  return rules.some(({ data }) => {
    const found = attributes(data, FIB_RULE_HDR);
    return [FRA.IIFNAME, FRA.OIFNAME, FRA.L3MDEV].some((attribute) => found.has(attribute));
  });
}
