/** Programs that are sent as differences: what agent and controller say to each other of them. */
import * as z from 'zod';
import { boundedList, Id, MAX_CAPTURE_STATUSES, MAX_PROGRAM_PARTS, Word } from './bounds.ts';
import { Capture, Delivery, NodeProgram, Termination } from './program.ts';
import type { PolicyPart } from './program-parts.ts';

/**
 * Revision of a program. The controller continues from the revision that an agent reports, so the
 * bound leaves room above it.
 */
export const Revision = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48);
/** A program by its revision and its content. */
export const HeldProgram = z.object({
  revision: Revision,
  digest: Word.meta({ description: 'SHA-256 in hex of the program without its revision.' }),
});
export type HeldProgram = z.infer<typeof HeldProgram>;

/** A program by the content of its parts. */
export const HeldParts = HeldProgram.extend({
  parts: boundedList(
    z.object({ policy: Id, digest: Word.meta({ description: 'The first 16 characters of its SHA-256.' }) }),
    MAX_PROGRAM_PARTS,
  ),
});
export type HeldParts = z.infer<typeof HeldParts>;

/** The part of one policy in a program. All that it has is of that policy. */
const Part = z
  .object({
    policy: Id,
    captures: boundedList(Capture, MAX_CAPTURE_STATUSES),
    deliveries: boundedList(Delivery, MAX_CAPTURE_STATUSES),
    terminations: boundedList(Termination, MAX_CAPTURE_STATUSES),
  })
  .refine(
    ({ policy, captures, deliveries, terminations }) =>
      [captures, deliveries, terminations].every((list) => list.every((item) => item.policy === policy)),
    'a part has something of another policy',
  );

/** What makes one program of another one. */
export const ProgramDifference = z.object({
  base: HeldProgram.meta({ description: 'The program that it was made of.' }),
  result: HeldProgram.meta({ description: 'The program that it makes.' }),
  own: NodeProgram.omit({ revision: true, captures: true, deliveries: true, terminations: true })
    .optional()
    .meta({ description: 'What is not of policies. Absent: it stays.' }),
  parts: boundedList(Part, MAX_PROGRAM_PARTS).meta({ description: 'Parts that are new or have changed.' }),
  gone: boundedList(Id, MAX_PROGRAM_PARTS).meta({ description: 'Policies without a part any more, by uid.' }),
});
export interface ProgramDifference extends Omit<z.infer<typeof ProgramDifference>, 'parts' | 'gone'> {
  parts: readonly PolicyPart[];
  gone: readonly string[];
}

/**
 * What has changed of the program since the last message with a program on this connection, or
 * since what the agent has said that it has. Sent instead of a program to an agent that
 * `takesDifferences`.
 */
export const ProgramDifferenceMessage = z.object({
  type: z.literal('programDifference'),
  difference: ProgramDifference,
});
export type ProgramDifferenceMessage = z.infer<typeof ProgramDifferenceMessage>;

/** Asks which parts the program of the agent has. Its answer is `programWanted` with them. */
export const PartsWantedMessage = z.object({ type: z.literal('partsWanted') });
export type PartsWantedMessage = z.infer<typeof PartsWantedMessage>;

/** Asks for the program. */
export const ProgramWantedMessage = z.object({
  type: z.literal('programWanted'),
  have: HeldParts.optional().meta({
    description: 'What the agent has. Absent: it wants the whole program, because a difference did not fit.',
  }),
});
export type ProgramWantedMessage = z.infer<typeof ProgramWantedMessage>;

/**
 * A value that a schema has accepted, as it came: its fields in their order, and those that this
 * version does not know. So its digest is that of the sender, and a later version finds all fields
 * in the file.
 * @param accepted what the schema has made of it. Fields that the schema has added are added
 */
export function asItCame<T extends object>(raw: unknown, accepted: T): T {
  const added = Object.entries(accepted).filter(([field]) => !Object.hasOwn(raw as object, field));
  return { ...(raw as T), ...Object.fromEntries(added) };
}
