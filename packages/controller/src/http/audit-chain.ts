/** /api/v1/audit/chain, /check and /export: the chain of the audit log, its check, and its lines. */
import { Readable } from 'node:stream';
import { AuditChain } from '@mirrorplane/contract';
import * as z from 'zod';
import { linesAfter } from '../audit/reading.ts';
import type { Services } from '../services.ts';
import { type Route, route } from './route.ts';

const tag = 'audit';

const ExportQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).meta({
    description: 'Only lines above this number, to go on with an earlier export. 0: all, also those without a chain.',
  }),
});

function chainOf({ audit, auditCheck }: Services): AuditChain {
  const { first, seq, unsigned } = audit.end;
  const { at, verdict } = auditCheck.last ?? {};
  return {
    first,
    last: seq,
    ...(audit.begins !== undefined && { olderElsewhere: true as const }),
    unsigned,
    checkpoint: audit.head ?? '',
    authority: audit.authority,
    ...(verdict && {
      checked: {
        at: at!,
        upTo: verdict.fault ? Math.max(0, verdict.fault.seq - 1) : verdict.last,
        unchained: verdict.unchained,
        ...(verdict.fault && { fault: verdict.fault }),
      },
    }),
  };
}

export const auditChainRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/audit/chain',
    tag,
    needs: 'audit',
    about: 'cluster',
    summary: 'Read the state of the chain of the audit log',
    responses: [{ status: 200, description: 'Its end, its newest signature, and the last check.', schema: AuditChain }],
    handle: ({ services }) => ({ body: chainOf(services) }),
  }),
  route({
    method: 'post',
    path: '/api/v1/audit/check',
    tag,
    needs: 'audit',
    about: 'cluster',
    summary: 'Let the controller check the chain of its audit log now',
    responses: [{ status: 200, description: 'The state with the result of this check.', schema: AuditChain }],
    handle: async ({ services }) => {
      await services.auditCheck.run();
      return { body: chainOf(services) };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/audit/export',
    tag,
    needs: 'audit',
    about: 'cluster',
    summary: 'Read all lines of the audit log as they are, the oldest first',
    query: ExportQuery,
    responses: [
      {
        status: 200,
        description: 'JSON lines: entries and signed checkpoints, byte for byte as in the files.',
        mediaType: 'application/jsonl',
      },
    ],
    handle: async ({ query: { after }, services }) => {
      const files = await services.audit.filesAfter(after);
      const body = Readable.from(linesAfter(files, after));
      return { headers: { 'content-type': 'application/jsonl' }, body };
    },
  }),
];
