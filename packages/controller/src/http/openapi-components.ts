/** Collects the named schemas of the OpenAPI document, each once. */
import * as z from 'zod';

/** A part of the document. */
export type Schema = Record<string, unknown>;

/** Input and output of a schema with defaults differ in their required fields. */
export class Components {
  readonly #schemas = new Map<string, Schema>();

  /** The schema as JSON Schema, with references for its named parts. */
  use(schema: z.ZodType, io: 'input' | 'output'): Schema {
    const {
      $schema: _,
      $defs = {},
      ...root
    } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any', override: openUp }) as Schema & {
      $defs?: Record<string, Schema>;
    };
    for (const [name, definition] of Object.entries($defs)) {
      this.#add(name, relocate(definition) as Schema);
    }
    const { id, ...rest } = relocate(root) as Schema;
    if (typeof id !== 'string') {
      return rest;
    }
    this.#add(id, rest);
    return { $ref: `#/components/schemas/${id}` };
  }

  sorted(): Schema {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(name: string, { id: _, ...schema }: Schema): void {
    this.#schemas.set(name, this.#schemas.get(name) ?? schema);
  }
}

/**
 * Answers may have more fields in a later version, so they stay open. Requests with unknown fields
 * are refused.
 */
function openUp({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: Schema }): void {
  if (zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined) {
    delete jsonSchema.additionalProperties;
  }
}

/** Rewrites references to the components of the document. */
function relocate(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(relocate);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      key === '$ref' && typeof field === 'string'
        ? field.replace('#/$defs/', '#/components/schemas/')
        : relocate(field),
    ]),
  );
}
