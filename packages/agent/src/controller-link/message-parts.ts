/**
 * Turns messages into texts within the bounds of the controller, for whole messages and for texts
 * for people.
 */
import {
  type AgentMessage,
  type CountersMessage,
  type Device,
  type EventsMessage,
  MAX_CAPTURE_STATUSES,
  MAX_DEVICES,
  MAX_PROBLEMS,
  MAX_TEXT,
  NUMBERS_WIDTH,
  PART_BYTES,
  type StatusMessage,
} from '@mirrorplane/contract';

/** Characters of JSON around a list. */
const AROUND = 4096;

/** The texts of a message: one, or several if it is larger than `limit` bytes. */
export function* textsOf(message: AgentMessage, limit = PART_BYTES): Generator<string> {
  const bounded = withinLimits(message);
  const text = textOf(bounded);
  if (Buffer.byteLength(text) <= limit) {
    yield text;
    return;
  }
  for (const part of partsOf(bounded, limit - AROUND)) {
    yield textOf(part);
  }
}

/**
 * Shortens long texts for people, for example of a verifier. Counters are skipped: they have no
 * texts, and there are many of them.
 */
function textOf(message: AgentMessage): string {
  return JSON.stringify(message, message.type === 'counters' ? undefined : cut);
}

function cut(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT - 1)}…` : value;
}

/**
 * Leaves out whatever exceeds the bounds for one node. Devices without an interface are left out
 * first.
 */
function withinLimits(message: AgentMessage): AgentMessage {
  if (message.type === 'inventory' && message.devices.length > MAX_DEVICES) {
    const isNamed = (device: Device) => device.identity !== undefined;
    const devices = [...message.devices.filter(isNamed), ...message.devices.filter((device) => !isNamed(device))];
    return { ...message, devices: devices.slice(0, MAX_DEVICES) };
  }
  if (message.type === 'status') {
    const { captures, problems } = message;
    return {
      ...message,
      captures: captures.slice(0, MAX_CAPTURE_STATUSES),
      problems: problems.slice(0, MAX_PROBLEMS),
    };
  }
  return message;
}

function partsOf(message: AgentMessage, limit: number): AgentMessage[] {
  switch (message.type) {
    case 'hello':
    case 'testReport':
    case 'looksRefused':
    case 'programWanted':
    case 'renew':
    case 'certificateStored':
      return [message];
    case 'inventory':
      return marked(divide(message.devices, beside(message.gone, limit)).map((devices) => ({ ...message, devices })));
    case 'status':
      return statusParts(message, limit);
    case 'counters':
      return counterParts(message, limit);
    case 'events':
      return divide(message.events, limit).map((events): EventsMessage => ({ ...message, events }));
  }
}

function statusParts(message: StatusMessage, limit: number): StatusMessage[] {
  const room = beside(message.gone, limit);
  const captures = divide(message.captures, room).map((part) => ({ ...message, captures: part, problems: [] }));
  const problems = divide(message.problems, room).map((part) => ({ ...message, captures: [], problems: part }));
  return marked([...captures, ...problems]);
}

/**
 * Each part is a separate report, because counters that a report does not mention stay unchanged.
 * The last one has the senders of refused packets, which are not divided, and the reading.
 */
function counterParts(
  { reading, report, traffic, numbers, ...message }: CountersMessage,
  limit: number,
): CountersMessage[] {
  const empty = { ...report, captures: [], deliveries: [], terminations: [], peers: [] };
  const room = beside(traffic?.uplinks, beside(message.budgets, limit));
  const { whole = [], parts = [], devices = [] } = numbers ?? {};
  const around = { ...message, report: empty };
  const carried: CountersMessage[] = traffic
    ? [
        ...divide(traffic.devices, room).map((some) => ({ ...around, traffic: { devices: some } })),
        ...divideNumbers(devices, NUMBERS_WIDTH.devices, room).map((some) => ({
          ...around,
          traffic: { devices: [] },
          numbers: { devices: some },
        })),
      ]
    : [];
  if (traffic?.uplinks && carried[0]) {
    carried[0] = { ...carried[0], traffic: { ...carried[0].traffic!, uplinks: traffic.uplinks } };
  }
  return [
    ...carried,
    ...divideNumbers(whole, NUMBERS_WIDTH.whole, room).map((some) => ({ ...around, numbers: { whole: some } })),
    ...divideNumbers(parts, NUMBERS_WIDTH.parts, room).map((some) => ({ ...around, numbers: { parts: some } })),
    ...divide(report.captures, room).map((captures) => ({ ...around, report: { ...empty, captures } })),
    ...divide(report.deliveries, room).map((deliveries) => ({ ...around, report: { ...empty, deliveries } })),
    ...divide(report.terminations, room).map((terminations) => ({ ...around, report: { ...empty, terminations } })),
    { ...around, report: { ...empty, peers: report.peers }, ...(reading && { reading }) },
  ];
}

/** What is left of a limit beside a list that is not divided. */
function beside(list: readonly unknown[] | undefined, limit: number): number {
  return list === undefined ? limit : limit - Buffer.byteLength(JSON.stringify(list));
}

/** Marks all parts but the last with `more`. The last one says what is gone. */
function marked<T extends { more?: true | undefined; gone?: unknown }>(parts: T[]): T[] {
  return parts.map((part, index) => (index < parts.length - 1 ? { ...part, gone: undefined, more: true } : part));
}

/**
 * Divides a list into lists with JSON of at most `limit` bytes each. A larger item has a list of
 * its own. Returns at least one list.
 */
function divide<T>(items: readonly T[], limit: number): T[][] {
  const parts: T[][] = [[]];
  let size = 0;
  for (const item of items) {
    const bytes = Buffer.byteLength(JSON.stringify(item, cut)) + 1;
    if (size + bytes > limit && parts.at(-1)!.length > 0) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)!.push(item);
    size += bytes;
  }
  return parts;
}

/** Divides a flat list, of `width` numbers for each item, as `divide` does. Returns no list where there is no item. */
function divideNumbers(list: readonly number[], width: number, limit: number): number[][] {
  const items = Array.from({ length: list.length / width }, (_, at) => list.slice(at * width, (at + 1) * width));
  return list.length === 0 ? [] : divide(items, limit).map((part) => part.flat());
}
