/** Problems of the data path, as text. */
import type { DatapathProblem, DatapathState } from '../datapath.ts';
import { deviceName } from './libbpf.ts';
import { type Attachment, type Links, PROGRAMS } from './links.ts';
import { arriveAt, type Placed } from './rows.ts';

/**
 * ifindexes of bridges where a foreign program stays in front of `arrive`, so that not all packets
 * are seen.
 */
export function disputedBridges(
  attachments: readonly Placed[],
  isBehind: (attachment: Attachment) => boolean,
): number[] {
  return attachments.flatMap(({ attachment, bridge }) => {
    return bridge !== undefined && isBehind(attachment) ? [bridge] : [];
  });
}

/** A problem for each of our programs that a disputing program stays in front of. */
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

/** A problem for each of our programs that has a foreign program permanently in front. */
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

/**
 * ifindexes of ports where a later filter may remove the token of `arrive`. Frames are recognised
 * by their content there.
 */
export function overruledPorts({ arrivalPorts = [] }: DatapathState, links: Links): number[] {
  const overruled = arrivalPorts.filter(({ ifindex, hook }) =>
    links.isOverruled({ ifindex, hook, program: arriveAt(hook) }),
  );
  return overruled.map(({ ifindex }) => ifindex);
}

/** Copies are made, but copies that the destination sends on are not stopped. */
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

/** A problem for each part that needs a program that could not be attached. */
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

/** Copies are still made, by captures at the guests' devices. */
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

/** A problem for every table that had no room for all its rows. All other tables are complete. */
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
