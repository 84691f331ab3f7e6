/** Schemas of the OpenAPI document that have a name, each once. */
import * as z from 'zod';

/** A part of the document. */
export type Schema = Record<string, unknown>;

/** Input and output of a schema with defaults differ: what may be left out. */
export class Components {
  readonly #schemas = new Map<string, Schema>();

  /** The schema as JSON Schema, its named parts as references. */
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

/** What the controller answers may get more fields in a later version. What it reads has none that it does not know. */
function openUp({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: Schema }): void {
  if (zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined) {
    delete jsonSchema.additionalProperties;
  }
}

/** References point to the components of the document. */
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
