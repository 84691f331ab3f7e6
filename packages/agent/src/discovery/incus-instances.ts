/** Reads instances of Incus and LXD. Pure. */
import type { NodeProblem } from '@mirrorplane/contract';
import * as z from 'zod';
import { claimOf } from './claim.ts';
import type { Claim } from './provider.ts';

/** The needed part of `GET /1.0`. */
export const Server = z.object({
  environment: z.object({ server_clustered: z.boolean().optional(), server_name: z.string().optional() }),
});

const Text = z.record(z.string(), z.string());

/** The needed part of an instance in `GET /1.0/instances?recursion=1`. */
const Instance = z.object({
  name: z.string(),
  project: z.string().default('default'),
  /** Name of the cluster member that it is on. `none` without a cluster. */
  location: z.string().default('none'),
  status: z.string(),
  config: Text,
  expanded_config: Text.optional(),
  expanded_devices: z.record(z.string(), Text),
});
type Instance = z.infer<typeof Instance>;

/** Configuration key of an instance or profile for the kind of its NICs. */
export const KIND_KEY = 'user.mirrorplane.kind';

/** In these states, a guest is behind its devices. */
const HERE = new Set(['Running', 'Frozen', 'Freezing', 'Thawed', 'Ready', 'Stopping']);
/** Types of NICs without a device on the host, and the reason. */
const NO_DEVICE: Record<string, string> = {
  sriov: 'it is passed through (SR-IOV)',
  physical: 'it is a physical NIC that is given to the instance',
  ipvlan: 'it is an ipvlan device inside the instance',
};

/** The NICs of one instance. */
export interface InstanceNics {
  claims: Claim[];
  problems: NodeProblem[];
}

/**
 * Reads one instance.
 * @param member name of this cluster member; undefined without a cluster
 * @throws Error if the instance is not understood
 */
export function readInstance(listed: unknown, member: string | undefined): InstanceNics {
  const instance = Instance.parse(listed);
  const uuid = instance.config['volatile.uuid'];
  const here = (member === undefined || instance.location === member) && HERE.has(instance.status);
  const label = instance.project === 'default' ? instance.name : `${instance.project}/${instance.name}`;
  const claims: Claim[] = [];
  const problems: NodeProblem[] = [];
  for (const [key, nic] of Object.entries(instance.expanded_devices)) {
    if (nic.type !== 'nic') {
      continue;
    }
    const name = `${label} ${key}`;
    const without = NO_DEVICE[nic.nictype ?? ''];
    const device = instance.config[`volatile.${key}.host_name`];
    if (without !== undefined) {
      const message = `${name}: ${without}, so no kernel device sees its traffic`;
      if (here) {
        problems.push({ code: 'DEVICE_UNSUPPORTED', message });
      }
    } else if (device && uuid === undefined) {
      claims.push({
        device,
        error: `${name}: the instance has no volatile.uuid; Incus, and LXD since 5.0, set it`,
      });
    } else if (device && uuid !== undefined) {
      claims.push(nicClaim({ instance, uuid, key, name, device, here }));
    }
  }
  return { claims, problems };
}

interface NicContext {
  instance: Instance;
  uuid: string;
  key: string;
  name: string;
  device: string;
  here: boolean;
}

function nicClaim({ instance, uuid, key, name, device, here }: NicContext): Claim {
  const nic = instance.expanded_devices[key]!;
  return claimOf({
    device,
    kind: instance.expanded_config?.[KIND_KEY] ?? instance.config[KIND_KEY] ?? 'vm',
    id: `${uuid}/${key}`,
    name,
    network: nic.network || nic.parent || '',
    provider: 'incus',
    guest: here ? 'running' : 'absent',
    mac: instance.config[`volatile.${key}.hwaddr`] ?? nic.hwaddr ?? '',
  });
}
