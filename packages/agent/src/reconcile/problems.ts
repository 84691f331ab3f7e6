/** Problems of a node program as text, and the status of its captures. Pure. */
import type { CaptureStatus, NodeProblem, NodeProgram } from '@mirrorplane/contract';
import type { CaptureRefusal, DeliveryEntry } from '../datapath/datapath.ts';
import { copiesRefusalOf, refusalOf } from '../discovery/devices.ts';
import type { Reconciled, Surroundings } from './surroundings.ts';
import { underlayAddress, untunnelled } from './tunnel-ways.ts';

/** Problems of this node for its program. */
export function problemsOf(program: NodeProgram, around: Surroundings): NodeProblem[] {
  const { underlay, nextHops, devices } = around;
  const problems: NodeProblem[] = [];
  const erspan = program.deliveries.filter((delivery) => delivery.kind === 'erspan');
  // A configured mirror device that is absent is reported before a policy needs it.
  const asked = underlay.underlay === undefined && underlay.asked;
  if (asked || erspan.length > 0 || program.terminations.length > 0) {
    if (underlay.underlay === undefined) {
      problems.push({ code: 'NODE_UNDERLAY_UNKNOWN', message: underlay.why });
    } else if (!underlay.up) {
      problems.push({ code: 'DEVICE_DOWN', message: `the mirror device ${underlay.underlay.device} is down` });
    }
  }
  problems.push(...untunnelled(program, around));
  for (const { node, policy, ...way } of underlay.underlay === undefined ? [] : erspan) {
    const address = underlayAddress(way);
    const hop = nextHops.get(address);
    if (hop?.state === 'noRoute') {
      problems.push({ code: 'ROUTE_MISSING', message: `node ${node}: ${hop.why}`, policy });
    }
    if (hop?.state === 'unresolved') {
      const via = hop.via === address ? '' : ` by ${hop.via}`;
      problems.push({
        code: 'NEIGHBOUR_UNKNOWN',
        message: `node ${node} (${address}${via}) does not answer to ARP on ${underlay.underlay?.device}`,
        policy,
      });
    }
  }
  for (const delivery of program.deliveries) {
    if (delivery.kind === 'erspan') {
      continue;
    }
    const device = devices.find((candidate) => candidate.identity?.id === delivery.interface);
    const base = { policy: delivery.policy, interface: delivery.interface };
    if (device === undefined || refusalOf(device) !== undefined) {
      continue; // reported with the devices, for any use
    }
    const refused = copiesRefusalOf(device);
    if (refused !== undefined) {
      problems.push({ code: 'DEVICE_UNSUPPORTED', message: refused, ...base });
    } else if (!device.up) {
      problems.push({ code: 'DEVICE_DOWN', message: `${device.name} is down`, ...base });
    }
  }
  return problems;
}

/** Policies with copies that are throttled because service traffic needs the device. */
export function throttledPolicies(
  deliveries: readonly DeliveryEntry[],
  { throttled, devices }: Surroundings,
): NodeProblem[] {
  const uplinks = deliveries.map((delivery) => ({
    ...delivery,
    ifindex: (delivery.kind === 'erspan' ? delivery.carrier : undefined) ?? delivery.ifindex,
  }));
  const concerned = uplinks.filter(({ kind, ifindex }) => kind !== 'local' && throttled?.has(ifindex));
  return concerned.map(({ policy, ifindex }) => {
    const name = devices.find((device) => device.ifindex === ifindex)?.name ?? `device ${ifindex}`;
    const message = `service traffic leaves too little room for all copies on ${name}; some copies are dropped as overBudget`;
    return { code: 'UPLINK_BUSY', message, policy };
  });
}

/**
 * Devices of unknown speed by which copies and service traffic leave. This is a problem of the node
 * only.
 */
export function unprotected({ unprotected: ifindexes = new Set(), devices, underlay }: Surroundings): NodeProblem[] {
  return [...ifindexes].map((ifindex) => {
    const mirror =
      underlay.underlay !== undefined && underlay.ifindex === ifindex ? underlay.underlay.device : undefined;
    const name = mirror ?? devices.find((device) => device.ifindex === ifindex)?.name ?? `device ${ifindex}`;
    const shape = `give it a queue of the rate that it can send, for example with "tc qdisc replace dev ${name} root tbf rate 1gbit burst 256k latency 10ms"`;
    const remedy = mirror === undefined ? shape : `give its rate with --uplink-rate, or ${shape}`;
    const message = `${name} carries service traffic and copies, but its speed and its queue are unknown, so copies are not throttled: ${remedy}`;
    return { code: 'UPLINK_UNPROTECTED', message };
  });
}

/**
 * Policies with copies that are throttled because originals need the CPUs: all policies that are
 * captured here.
 */
export function throttledByCpus({ captures }: NodeProgram, { cpuThrottled }: Surroundings): NodeProblem[] {
  if (!cpuThrottled) {
    return [];
  }
  const message = 'packets are lost for lack of CPU time: copies are throttled, and some are dropped as overBudget';
  return [...new Set(captures.map(({ policy }) => policy))].map((policy) => ({ code: 'CPU_BUSY', message, policy }));
}

/** The status of every capture with a device here, after the data path has applied the state. */
export function captureStatuses(reconciled: Reconciled, refused: readonly CaptureRefusal[]): CaptureStatus[] {
  const refusals = new Map(refused.map((refusal) => [refusal.id, refusal]));
  return reconciled.placed.map(({ capture, device, hooks }) => {
    const base = { capture: capture.id, device: device.name };
    if (hooks.length === 0) {
      const message = refusalOf(device) ?? '';
      return { ...base, state: 'refused', code: 'DEVICE_UNSUPPORTED', message };
    }
    const refusedHooks = hooks.flatMap((id) => refusals.get(id) ?? []);
    const [refusal] = refusedHooks;
    if (refusal === undefined) {
      return { ...base, state: 'capturing' };
    }
    const { code, arrives } = refusal;
    const isPart = (arrives || refusedHooks.length < hooks.length) && !refusedHooks.some(({ gone }) => gone);
    const message = arrives
      ? `only frames with a known path through the bridge are captured, where they enter the bridge, and no flooded frames: ${refusal.message}`
      : refusal.message;
    return { ...base, state: isPart ? 'capturing' : 'refused', code, message };
  });
}
