/** /api/v1/findings */
import { compileWords, Finding, FindingCreate, WordsError } from '@mirrorplane/contract';
import * as z from 'zod';
import type { FindingRun } from '../findings/finding-run.ts';
import { lookRequest } from '../findings/findings.ts';
import { refuseField } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { beginLook } from './begin-look.ts';
import { require } from './judges.ts';
import { found, ownerOf } from './mutation.ts';
import { type Route, route } from './route.ts';

const path = '/api/v1/findings';
const tag = 'findings';
const Params = z.object({ id: z.string().max(64).meta({ description: 'id of the finding.' }) });
const Findings = z.object({ items: z.array(Finding) }).meta({ id: 'FindingList' });

/** Refuses what cannot be looked at, with the field. */
function check({ from, to, words }: FindingCreate, { inventory }: Services): void {
  for (const [field, id] of Object.entries({ from, to })) {
    if (!inventory.now().interfaces.some((one) => one.id === id)) {
      refuseField(field, `there is no interface "${id}": check the id with "mirrorplane interface list"`);
    }
  }
  if (from === to) {
    refuseField('to', 'it is the same interface as "from": choose the one at the other end');
  }
  try {
    compileWords(words);
  } catch (error) {
    if (error instanceof WordsError) {
      refuseField('words', error.message);
    }
    throw error;
  }
}

export const findingRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'packets',
    about: 'handler',
    summary: 'List the newest findings',
    responses: [
      { status: 200, description: 'The newest first, at most 16. They are in memory only.', schema: Findings },
    ],
    handle: ({ services, judge }) => {
      const seen = services.findings.list().filter(({ id }) => judge.may('packets', 'finding', id));
      return { body: { items: seen.map((run) => run.describe()) } };
    },
  }),
  route({
    method: 'post',
    path,
    tag,
    needs: 'packets',
    about: 'handler',
    summary: 'Find out where packets between two interfaces are lost',
    body: FindingCreate,
    refuses: ['LOOK_LIMIT'],
    responses: [{ status: 201, description: 'It has begun. Read it until its state is done.', schema: Finding }],
    handle: async ({ body, services, who, request, judge }) => {
      const owner = ownerOf(who, request);
      let run: FindingRun | undefined;
      await beginLook(lookRequest(body), { services, owner }, (admit) => {
        require(judge, 'packets', 'interface', body.from);
        require(judge, 'packets', 'interface', body.to);
        check(body, services);
        admit();
        run = services.findings.create(body, owner);
        return services.looks.get(run.look)!;
      });
      return { body: run!.describe() };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}`,
    tag,
    needs: 'packets',
    about: 'finding',
    summary: 'Read a finding',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The finding.', schema: Finding }],
    handle: ({ params: { id }, services }) => ({
      body: found(services.findings.get(id), 'finding', id).describe(),
    }),
  }),
];
