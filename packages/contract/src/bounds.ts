/**
 * Bounds of what crosses the connection between an agent and the controller. Each is far above what an honest node needs,
 * and is checked before memory is spent. docs/security.md lists them all, with what happens beyond each.
 */
import * as z from 'zod';

/** Bytes of a hello, and of everything that an agent sends before its hello was accepted. */
export const MAX_HELLO_BYTES = 4096;
/** Bytes of one message of an agent after its hello. */
export const MAX_MESSAGE_BYTES = 1 << 20;
/** Bytes up to which an agent fills one message. It divides what is larger, see `more` of the messages. */
export const PART_BYTES = MAX_MESSAGE_BYTES / 2;
/** Devices of one node. */
export const MAX_DEVICES = 16_384;
/** Captures, deliveries or terminations that one node reports: twice the slots that its kernel has for them. */
export const MAX_CAPTURE_STATUSES = 16_384;
/** Problems that one node reports at a time. */
export const MAX_PROBLEMS = 1024;
/** Senders of which one node reports that something was refused: every other node, and then some. */
export const MAX_PEERS = 4096;
/** Devices of one node of which budgets are reported. */
export const MAX_BUDGETS = 256;
/** Items of a list within an item of a list, as the further names of a device. */
export const MAX_INNER_ITEMS = 256;
/** Characters of a text for people, as the message of a problem. */
export const MAX_TEXT = 1024;
/** Characters of an identifier that is none of our names, as the id of a capture: "uid/source". */
export const MAX_ID = 256;
/** Characters of a code, a version or another short word. */
export const MAX_WORD = 128;
/** Packets or bytes of one counter: half of what the 64 bits of the kernel hold, 23 years at 100 Gbit/s in bytes. */
export const MAX_COUNT = 2 ** 63;

/** Items of any list. */
const MAX_ITEMS = 16_384;
/** Fields of one object, and levels of objects within each other, that any message has. */
const MAX_FIELDS = 64;
const MAX_DEPTH = 12;

/** A text for people. */
export const Text = z.string().max(MAX_TEXT);
/** An identifier without a form of its own. */
export const Id = z.string().max(MAX_ID);
/** A code, a version or another short word. */
export const Word = z.string().max(MAX_WORD);

/**
 * A list that is given up at its first wrong item. An array of zod goes through all of them, and a list of wrong items costs
 * seconds then.
 * @param max items at most; checked before the first item is
 */
export function boundedList<T extends z.ZodType>(item: T, max: number) {
  return z
    .array(z.unknown())
    .max(max)
    .transform((values, context): z.output<T>[] => {
      const items: z.output<T>[] = [];
      for (const [index, value] of values.entries()) {
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
 * Looks at the shape of parsed JSON before a schema does: its depth, the number of fields of each object, and the length of
 * lists, which is less for lists within lists.
 * @returns what is wrong with it; undefined: nothing
 */
export function shapeProblem(value: unknown): string | undefined {
  const open = [{ value, depth: 0, inList: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value: at, depth, inList } = next;
    if (typeof at !== 'object' || at === null) {
      continue;
    }
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
    let fields = 0;
    for (const key in at) {
      if (!isList && ++fields > MAX_FIELDS) {
        return `an object has more than ${MAX_FIELDS} fields`;
      }
      const inner = (at as Record<string, unknown>)[key];
      if (typeof inner === 'object' && inner !== null) {
        open.push({ value: inner, depth: depth + 1, inList: inList || isList });
      }
    }
  }
  return undefined;
}
