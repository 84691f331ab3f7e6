/** What stands in the way of a data path, in words. */
import type { DatapathProblem, DatapathState } from '../datapath.ts';
import { deviceName } from './libbpf.ts';
import { type Attachment, type Links, PROGRAMS } from './links.ts';
import { arriveAt, type Placed } from './rows.ts';

/** ifindexes of the bridges where a program of someone else stays in front of `arrive`: not all that enters them is seen. */
export function disputedBridges(
  attachments: readonly Placed[],
  isBehind: (attachment: Attachment) => boolean,
): number[] {
  return attachments.flatMap(({ attachment, bridge }) => {
    return bridge !== undefined && isBehind(attachment) ? [bridge] : [];
  });
}

/** A problem for whatever is behind a foreign program. */
export function disputes(
  attachments: readonly Placed[],
  state: DatapathState,
  isDisputed: (attachment: Attachment) => boolean,
): DatapathProblem[] {
  return attachments.flatMap((placed) => {
    const { attachment } = placed;
    if (!isDisputed(attachment)) {
      return [];
    }
    const where = `${attachment.hook} of ${deviceName(attachment.ifindex)}`;
    return occupied(placed, state, `at ${where} another program repeatedly attaches before ours`);
  });
}

/** A problem for whatever is behind something foreign that ours cannot overtake. */
export function obstacles(
  attachments: readonly Placed[],
  state: DatapathState,
  links: Links,
  ours: ReadonlySet<number>,
): DatapathProblem[] {
  return attachments.flatMap((placed) => {
    const { attachment } = placed;
    const what = links.obstacle(attachment, ours);
    if (what === undefined) {
      return [];
    }
    return occupied(placed, state, `at ${attachment.hook} of ${deviceName(attachment.ifindex)} ${what}`);
  });
}

/** ifindexes of ports where a later filter may take the token of `arrive` away: frames are known again by their content. */
export function overruledPorts({ arrivalPorts = [] }: DatapathState, links: Links): number[] {
  const overruled = arrivalPorts.filter(({ ifindex, hook }) =>
    links.isOverruled({ ifindex, hook, program: arriveAt(hook) }),
  );
  return overruled.map(({ ifindex }) => ifindex);
}

/** Copies flow, and what their destination sends of them is not kept off the network. */
function feedbackProblems(policies: readonly string[], why: string): DatapathProblem[] {
  const message = `${why}: copies that the destination sends on are not dropped`;
  return policies.map((policy) => ({ code: 'FEEDBACK_UNSEEN', message, policy }));
}

function occupied(placed: Placed, state: DatapathState, message: string): DatapathProblem[] {
  if (placed.destinationOf) {
    return feedbackProblems(placed.destinationOf, message);
  }
  if (placed.bridge !== undefined) {
    return arrivalProblems(placed.bridge, state, message);
  }
  return concerned(placed, state).map((whom) => ({
    code: 'HOOK_OCCUPIED',
    message: `${message}: packets that it does not pass on are not seen`,
    ...whom,
  }));
}

/** A problem for whatever needs a program that could not be attached. */
export function attachProblems(
  placed: Placed,
  state: DatapathState,
  code: 'ATTACH_FAILED' | 'HOOK_OCCUPIED',
  message: string,
): DatapathProblem[] {
  if (placed.destinationOf) {
    return feedbackProblems(placed.destinationOf, message);
  }
  if (placed.bridge !== undefined) {
    return arrivalProblems(placed.bridge, state, message);
  }
  return concerned(placed, state).map((policy) => ({ code, message, ...policy }));
}

/** Copies flow, captured at the guests' devices. */
function arrivalProblems(bridge: number, { captures }: DatapathState, why: string): DatapathProblem[] {
  return captures
    .filter(({ arrivalBridge }) => arrivalBridge === bridge)
    .map(({ policy, source }) => ({
      code: 'ARRIVAL_UNSEEN',
      message: `${why}: packets that a firewall on ${deviceName(bridge)} drops are not captured`,
      policy,
      interface: source,
    }));
}

/** A problem for every table that had no room for all its rows. The others are whole. */
export function fullTables(tables: Readonly<Record<string, { lacksRoom: number }>>): DatapathProblem[] {
  return Object.entries(tables).flatMap(([name, { lacksRoom }]) => {
    if (lacksRoom === 0) {
      return [];
    }
    const message = `the table ${name} of the data plane has no room for ${lacksRoom} more entries`;
    return [{ code: 'TABLE_FULL', message }];
  });
}

type Whom = Pick<DatapathProblem, 'policy' | 'interface'>;

function concerned({ attachment, capture }: Placed, { deliveries, terminations }: DatapathState): Whom[] {
  if (capture) {
    return [{ policy: capture.policy, interface: capture.source }];
  }
  const users =
    attachment.program === PROGRAMS.terminate ? terminations : deliveries.filter(({ kind }) => kind !== 'local');
  return [...new Set(users.map(({ policy }) => policy))].map((policy) => ({ policy }));
}
