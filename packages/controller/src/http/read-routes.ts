/** GET of resources that are shown as they are stored, with their revision. */
import type * as z from 'zod';
import type { Records } from '../store/records.ts';
import type { ListSpec } from './list-spec.ts';
import { etag, found, KINDS } from './mutation.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { type Route, route } from './route.ts';

/** Such resources, and how the reference names them. */
interface Readable<F extends 'domains' | 'pools'> {
  folder: F;
  /** What one is called in a sentence, and several. */
  words: readonly [one: string, several: string];
  list: ListSpec<Records[F] & { revision: number }>;
  /** A resource as it is shown. */
  schema: z.ZodType;
  /** The name in the path. */
  params: z.ZodObject<{ name: z.ZodType<string> }>;
}

/** A page of those that the sender may read, and one by its name. */
export function readRoutes<F extends 'domains' | 'pools'>({
  folder,
  words: [one, several],
  list,
  schema,
  params,
}: Readable<F>): Route[] {
  const kind = KINDS[folder];
  const path = `/api/v1/${folder}`;
  const common = { method: 'get', tag: folder, needs: 'read' } as const;
  return [
    route({
      ...common,
      path,
      about: 'handler',
      summary: `List ${several}`,
      query: pageQuery(list),
      refuses: ['LIST_EXPIRED'],
      responses: [{ status: 200, description: `${capital(folder)} by name.`, schema: listOf(schema) }],
      handle: ({ query, services, judge, who }) => {
        const items = services.view
          .all(folder)
          .values()
          .filter(({ value }) => judge.may('read', kind, value.name))
          .map(({ value, revision }) => ({ ...value, revision }));
        return { body: pageOf(items, list, query, listOptions(services, who)) };
      },
    }),
    route({
      ...common,
      path: `${path}/{name}`,
      about: kind,
      summary: `Read a ${one}`,
      params,
      refuses: ['NOT_FOUND'],
      responses: [{ status: 200, description: `The ${kind}.`, schema }],
      handle: ({ params: { name }, services: { view } }) => {
        const { value, revision } = found(view.get(folder, name), kind, name);
        return { headers: { etag: etag(revision) }, body: { ...value, revision } };
      },
    }),
  ];
}

function capital(word: string): string {
  return `${word[0]!.toUpperCase()}${word.slice(1)}`;
}
