/**
 * Bounds of all messages between an agent and the controller. Each bound is far above the needs of
 * an honest node, and is checked before memory is spent. docs/security.md lists all bounds, and
 * what happens to a message that exceeds one.
 */
import * as z from 'zod';

/** Bytes of a hello, and of all messages that an agent sends before its hello is accepted. */
export const MAX_HELLO_BYTES = 4096;
/** Bytes of one message of an agent after its hello. */
export const MAX_MESSAGE_BYTES = 1 << 20;
/**
 * Bytes up to which an agent fills one message. It divides larger contents (`more` of the
 * messages).
 */
export const PART_BYTES = MAX_MESSAGE_BYTES / 2;
/** Devices of one node. */
export const MAX_DEVICES = 16_384;
/**
 * Captures, deliveries or terminations that one node reports: twice the slots that its kernel has
 * for them.
 */
export const MAX_CAPTURE_STATUSES = 16_384;
/** Items that a difference says are gone. Beyond it, an agent sends the whole report. */
export const MAX_GONE = 1024;
/** Parts of a program, one for each policy. A program with more parts is always sent whole. */
export const MAX_PROGRAM_PARTS = 4096;
/** Problems that one node reports at a time. */
export const MAX_PROBLEMS = 1024;
/** Senders in one node's report of refused packets. More than the other nodes of any cluster. */
export const MAX_PEERS = 4096;
/** Devices of one node with a reported budget. */
export const MAX_BUDGETS = 256;
/** Items of an inner list, for example the alternative names of one device. */
export const MAX_INNER_ITEMS = 256;
/** MAC addresses in the report of one guest's NIC. */
export const MAX_GUEST_MACS = 64;
/** Characters of a text for people, for example the message of a problem. */
export const MAX_TEXT = 1024;
/** Characters of a composed identifier, for example "uid/source" of a capture. */
export const MAX_ID = 256;
/** Characters of a code, a version or another short word. */
export const MAX_WORD = 128;
/**
 * Packets or bytes of one counter. Half the range of the kernel's 64 bits: 23 years of bytes at 100
 * Gbit/s.
 */
export const MAX_COUNT = 2 ** 63;
/** Lanes in which a node numbers its copies. */
export const MAX_LANES = 16;

/** Items of any list. */
const MAX_ITEMS = 16_384;
/** Fields of one object, and levels of nesting, in any message. */
const MAX_FIELDS = 64;
const MAX_DEPTH = 12;

/** A text for people. */
export const Text = z.string().max(MAX_TEXT);
/** An identifier of any form. */
export const Id = z.string().max(MAX_ID);
/** A code, a version or another short word. */
export const Word = z.string().max(MAX_WORD);

/**
 * A list whose check stops at the first wrong item. An array of zod checks all items, which takes
 * seconds for a long list of wrong items.
 * @param max items at most; checked before any item
 * @param isPlain whether an item is what the schema would make of it, where that is known faster
 */
export function boundedList<T extends z.ZodType>(item: T, max: number, isPlain?: (value: unknown) => boolean) {
  return z
    .array(z.unknown())
    .max(max)
    .transform((values, context): z.output<T>[] => {
      const items: z.output<T>[] = [];
      for (const [index, value] of values.entries()) {
        if (isPlain?.(value)) {
          items.push(value as z.output<T>);
          continue;
        }
        const result = item.safeParse(value);
        if (!result.success) {
          const { message, path } = result.error.issues[0]!;
          context.addIssue({ code: 'custom', message, path: [index, ...path] });
          return z.NEVER;
        }
        items.push(result.data);
      }
      return items;
    });
}

/**
 * Checks the shape of parsed JSON before a schema does: depth, number of fields of each object,
 * length of lists. Inner lists have a smaller limit.
 * @returns what is wrong. Undefined: the shape is accepted
 */
export function shapeProblem(value: unknown): string | undefined {
  return typeof value === 'object' && value !== null ? problemBelow(value, 0, false) : undefined;
}

function problemBelow(at: object, depth: number, inList: boolean): string | undefined {
  if (depth >= MAX_DEPTH) {
    return `it has more than ${MAX_DEPTH} levels`;
  }
  const isList = Array.isArray(at);
  if (isList && at.length > MAX_ITEMS) {
    return `a list has more than ${MAX_ITEMS} items`;
  }
  if (isList && inList && at.length > MAX_INNER_ITEMS) {
    return `a list within a list has more than ${MAX_INNER_ITEMS} items`;
  }
  if (isList) {
    return firstProblem(at, (inner) => problemBelow(inner, depth + 1, true));
  }
  const values = Object.values(at);
  if (values.length > MAX_FIELDS) {
    return `an object has more than ${MAX_FIELDS} fields`;
  }
  return firstProblem(values, (inner) => problemBelow(inner, depth + 1, inList));
}

function firstProblem(
  values: readonly unknown[],
  problemOf: (value: object) => string | undefined,
): string | undefined {
  for (const value of values) {
    const problem = typeof value === 'object' && value !== null ? problemOf(value) : undefined;
    if (problem !== undefined) {
      return problem;
    }
  }
  return undefined;
}
