/** Whether devices of interfaces can be mirrored, and which sources carry the same packets. */
import type { ErrorCode, Params } from '@mirrorplane/contract';
import type { Cluster, ClusterInterface } from './cluster.ts';

/** Why an interface has no device. The text ends with a remedy. */
export interface Explanation {
  message: string;
  /** The interface is known, and no device of it can be mirrored. */
  unsupported?: boolean;
}

/** Information about an interface id beyond the inventory. */
export type Explain = (id: string) => Explanation | undefined;

const quote = (text: string): string => JSON.stringify(text);
const NO_DEVICES: ReadonlyMap<string, string> = new Map();

/**
 * Why an interface cannot be used because of its devices. Undefined: it can be used, or has no
 * device.
 */
export function deviceRefusal(
  id: string,
  item: ClusterInterface | undefined,
  role: 'SOURCE' | 'DESTINATION',
  explain: Explain | undefined,
): { code: ErrorCode; params: Params } | undefined {
  const devices = item?.devices ?? [];
  const whys = devices.flatMap(({ node, name, notMirrorable, noDestination }) => {
    const why = notMirrorable ?? (role === 'DESTINATION' ? noDestination : undefined);
    return why === undefined ? [] : `${name} on node ${quote(node)} ${why}`;
  });
  const unsupported = `POLICY_${role}_UNSUPPORTED` as const;
  if (devices.length > 0) {
    const none = whys.length === devices.length;
    const end = role === 'SOURCE' ? 'source' : 'destination';
    return none ? { code: unsupported, params: { [end]: id, devices: whys.join('; ') } } : undefined;
  }
  const known = explain?.(id);
  if (known?.unsupported) {
    return { code: unsupported, params: { text: known.message } };
  }
  if (item !== undefined) {
    return undefined;
  }
  return { code: `POLICY_${role}_NOT_FOUND`, params: known ? { text: known.message } : { interface: id } };
}

/** Sources that carry packets of an earlier source in the list: the position of each, and which devices. */
export function overlaps(sources: readonly string[], cluster: Cluster): { index: number; params: Params }[] {
  const byNode = new Map<string, Map<string, string>>();
  const placed = sources.flatMap((id, index) =>
    (cluster.interfaces.get(id)?.devices ?? []).map((device) => ({ id, index, device })),
  );
  for (const { id, device } of placed) {
    byNode.set(device.node, (byNode.get(device.node) ?? new Map<string, string>()).set(device.name, id));
  }
  const found = new Map<string, { index: number; params: Params }>();
  for (const { id, device } of placed) {
    for (const name of device.sharesWith ?? []) {
      const other = (byNode.get(device.node) ?? NO_DEVICES).get(name);
      if (other === undefined || other === id) {
        continue;
      }
      const index = Math.max(sources.indexOf(id), sources.indexOf(other));
      const params = { device: device.name, source: id, otherDevice: name, other, onNode: device.node };
      const key = [id, other].sort().join(' ');
      if (!found.has(key)) {
        found.set(key, { index, params });
      }
    }
  }
  return [...found.values()];
}
