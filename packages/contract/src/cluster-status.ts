/** The state of the whole cluster in one answer. */
import * as z from 'zod';
import { Timestamp } from './names.ts';
import { PolicyState } from './status.ts';

/** The most problems of one answer. */
export const MAX_STATUS_PROBLEMS = 100;

/** A controller. */
export const ControllerStatus = z
  .object({
    host: z.string().meta({ description: 'Name of its host.' }),
    version: z.string(),
    startedAt: Timestamp,
    leads: z.boolean().meta({ description: 'Whether it writes to the store and serves the agents.' }),
    leadsSince: Timestamp.optional().meta({ description: 'Since when it leads, where there can be several.' }),
    auditFrom: z.number().int().optional().meta({
      description:
        'Number of the oldest line of its audit log, where it has never had older ones. Told of the one that leads.',
    }),
    gone: z.enum(['stopped', 'lost']).optional().meta({
      description:
        'It does not run. stopped: it was stopped in order. lost: it was not, and is not heard of any more. It is listed for a week. Absent: it runs.',
    }),
    stoppedAt: Timestamp.optional().meta({ description: 'When it was stopped.' }),
    agents: z.string().optional().meta({
      description: 'HOST:PORT where agents and other controllers reach it. Absent: there can be no others.',
    }),
  })
  .meta({ id: 'ControllerStatus' });

/** The store, and whether it can be reached. */
export const StoreStatus = z
  .object({
    engine: z.enum(['file', 'etcd']),
    revision: z.number().int(),
    members: z
      .array(z.object({ url: z.string(), answers: z.boolean() }))
      .meta({ description: 'Members of etcd. `answers`: it answered within a second, and it reaches most of them.' }),
  })
  .meta({ id: 'StoreStatus' });
export type StoreStatus = z.infer<typeof StoreStatus>;

/** Something that an operator should look at. */
export const StatusProblem = z
  .object({
    kind: z.enum(['controller', 'node', 'policy']),
    name: z.string(),
    code: z.string().optional().meta({ description: 'A code of the catalogue. Absent: of the controller itself.' }),
    message: z.string(),
    remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
  })
  .meta({ id: 'StatusProblem' });
export type StatusProblem = z.infer<typeof StatusProblem>;

export const ClusterStatus = z
  .object({
    controllers: z
      .array(ControllerStatus)
      .optional()
      .meta({ description: 'Absent: the sender of the request may not read the whole cluster.' }),
    store: StoreStatus.optional().meta({ description: 'Absent as `controllers`.' }),
    nodes: z.object({
      total: z.number().int(),
      ready: z.number().int().meta({ description: 'Connected, with the newest program.' }),
      pending: z.number().int().meta({ description: 'Connected, with an older program.' }),
      disconnected: z.number().int(),
    }),
    policies: z.object({
      total: z.number().int(),
      states: z.partialRecord(PolicyState, z.number().int()).meta({ description: 'How many are in each state.' }),
    }),
    problems: z.array(StatusProblem).meta({ description: `The first ${MAX_STATUS_PROBLEMS}.` }),
    problemCount: z.number().int().meta({ description: 'Number of all.' }),
  })
  .meta({ id: 'ClusterStatus' });
export type ClusterStatus = z.infer<typeof ClusterStatus>;
