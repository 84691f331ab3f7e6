/** The mirror policy: the fields that an operator writes, and the stored form. */
import * as z from 'zod';
import { Approval, waitingChange } from './approval.ts';
import { ErrorCode } from './errors.ts';
import { InterfaceId, MAX_RATE, MAX_SOURCES, Name, Timestamp } from './names.ts';
import { Params } from './params.ts';

/**
 * Direction of traffic as seen from the source. `inbound`: received by the source. `outbound`: sent
 * by the source.
 */
export const TrafficDirection = z.enum(['all', 'inbound', 'outbound']).meta({ id: 'TrafficDirection' });
export type TrafficDirection = z.infer<typeof TrafficDirection>;

/** Derived from the kinds of source and destination, never typed in. */
export const PolicyType = z.enum(['virtual', 'virtual-to-physical', 'physical']).meta({ id: 'PolicyType' });
export type PolicyType = z.infer<typeof PolicyType>;

/**
 * The fields that an operator writes. The schema checks only the shape. The planner checks ranges
 * and rules, so that a refusal lists all its reasons at once. The metadata has the ranges for the
 * OpenAPI document.
 */
export const PolicySpec = z
  .strictObject({
    name: z.string().meta({ description: 'Unique name of the policy.', examples: ['ids-all'] }),
    description: z.string().max(1024).default('').meta({ description: 'Free text for other operators.' }),
    sources: z
      .array(z.string())
      .meta({ description: 'Interface ids whose traffic is copied.', minItems: 1, maxItems: MAX_SOURCES }),
    destination: z.string().meta({ description: 'Interface id that receives the copies.' }),
    direction: z.string().default('all').meta({
      description: 'Direction of the traffic, seen from the source.',
      default: 'all',
      enum: TrafficDirection.options,
    }),
    percent: z.number().default(100).meta({
      description: 'Share of packets that is copied, in percent, with up to two decimals.',
      minimum: 0,
      maximum: 100,
    }),
    vlanId: z.number().optional().meta({
      description:
        '802.1Q tag that is pushed on the copies. Required if the destination is an edge, refused otherwise.',
      minimum: 1,
      maximum: 4094,
    }),
    maxRate: z.number().optional().meta({
      description: 'Budget: Mbit/s of copies that each node may make for this policy. Absent: no limit.',
      minimum: 1,
      maximum: MAX_RATE,
    }),
    allowFeedback: z
      .boolean()
      .optional()
      .meta({
        description:
          'Whether the guest of the destination may send on copies. Such frames have source addresses of other guests. ' +
          'Default false: the frames are dropped at the port of the destination, so that they harm no original.',
        default: false,
      }),
    enabled: z.boolean().default(true),
    endsAt: z.iso
      .datetime({ offset: true, error: 'write a time of ISO 8601, as in 2026-01-31T20:00:00Z' })
      .optional()
      .meta({ description: 'When the policy ends automatically: it is disabled then. Absent: never.' }),
  })
  .meta({
    id: 'PolicySpec',
    examples: [
      { name: 'ids-web', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0', percent: 25 },
      { name: 'retain-db', sources: ['db-1/0'], destination: 'edge-1', direction: 'inbound', vlanId: 100 },
    ],
  });
/** What an operator writes, with defaults filled in. Not yet validated by the planner. */
export type PolicySpec = z.infer<typeof PolicySpec>;
/** What an operator writes, before defaults. */
export type PolicyInput = z.input<typeof PolicySpec>;

/** A warning does not stop a policy, yet its author should know. */
export const Warning = z.object({
  code: ErrorCode,
  message: z.string(),
  params: Params.optional(),
  remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
  field: z.string().optional(),
});
export type Warning = z.infer<typeof Warning>;

/**
 * A policy as the controller stores it. It is valid, and has a `uid`. A new policy of the same name
 * gets another `uid`.
 */
export const Policy = z
  .object({
    name: Name,
    uid: z.string().meta({ description: 'Identity of this policy. A new policy of the same name gets a new uid.' }),
    description: z.string().meta({ description: 'Free text for other operators.' }),
    sources: z.array(InterfaceId).meta({ description: 'Interfaces whose traffic is copied.' }),
    destination: InterfaceId,
    direction: TrafficDirection,
    percent: z.number().meta({ description: 'Share of packets that is copied, in percent.' }),
    vlanId: z.number().int().optional().meta({ description: '802.1Q tag that is pushed on copies at an edge.' }),
    maxRate: z.number().optional().meta({ description: 'Mbit/s of copies that each node may make. Absent: no limit.' }),
    allowFeedback: z.boolean().optional(),
    enabled: z.boolean(),
    endsAt: Timestamp.optional().meta({ description: 'When the policy ends automatically. Absent: never.' }),
    type: PolicyType,
    revision: z.number().int().meta({ description: 'Store revision of the last change; also the ETag.' }),
    createdAt: Timestamp,
    createdBy: z.string().optional().meta({ description: 'Who created the policy, as the audit log names it.' }),
    updatedAt: Timestamp,
    approval: Approval.optional().meta({
      description: 'Consent to the policy. It copies only while that is approved. Absent: none was needed.',
    }),
    change: waitingChange(z.object(PolicySpec.shape).meta({ id: 'WantedPolicy' }))
      .optional()
      .meta({
        description: 'A change that waits for consent. The policy stays as it is until then.',
      }),
    warnings: z.array(Warning).default([]),
  })
  .meta({
    id: 'Policy',
    examples: [
      {
        name: 'ids-web',
        uid: '6f1c2f0e-3a57-4c0e-9d0c-5a3a3a0c7c11',
        description: '',
        sources: ['web-1/0', 'web-2/0'],
        destination: 'ids-1/0',
        direction: 'all',
        percent: 25,
        enabled: true,
        type: 'virtual',
        revision: 17,
        createdAt: '2026-01-31T12:00:00.000Z',
        createdBy: 'admin',
        updatedAt: '2026-01-31T12:00:00.000Z',
        warnings: [],
      },
    ],
  });
export type Policy = z.infer<typeof Policy>;
