/** Every route of the API. */

import { accessRoutes } from './access.ts';
import { apiTokenRoutes } from './api-tokens.ts';
import { approvalRoutes } from './approvals.ts';
import { auditRoutes } from './audit.ts';
import { auditChainRoutes } from './audit-chain.ts';
import { authorityRoutes } from './authority.ts';
import { clusterStatusRoutes } from './cluster-status.ts';
import { destinationRoutes } from './destinations.ts';
import { deviceLoginRoutes } from './device-logins.ts';
import { domainRoutes } from './domains.ts';
import { eventRoutes } from './events.ts';
import { findingRoutes } from './findings.ts';
import { forecastRoutes } from './forecasts.ts';
import { healthRoutes } from './health.ts';
import { historyRoutes } from './history.ts';
import { interfaceRoutes } from './interfaces.ts';
import { joinTokenRoutes } from './join-tokens.ts';
import { lookPacketRoutes } from './look-packets.ts';
import { lookRoutes } from './looks.ts';
import { nodeRevokeRoutes } from './node-revoke.ts';
import { nodeRoutes } from './nodes.ts';
import { policyRoutes } from './policies.ts';
import { policyConsentRoutes } from './policy-consent.ts';
import { policyTestRoutes } from './policy-test.ts';
import { poolRoutes } from './pools.ts';
import type { Route } from './route.ts';
import { sessionRoutes } from './session.ts';
import { signInRoutes } from './sign-in.ts';
import { streamRoutes } from './stream.ts';
import { userPasswordRoutes } from './user-password.ts';
import { userTotpRoutes } from './user-totp.ts';
import { userRoutes } from './users.ts';

export const ROUTES: readonly Route[] = [
  ...policyRoutes,
  ...forecastRoutes,
  ...policyTestRoutes,
  ...policyConsentRoutes,
  ...approvalRoutes,
  ...interfaceRoutes,
  ...destinationRoutes,
  ...historyRoutes,
  ...nodeRoutes,
  ...clusterStatusRoutes,
  ...joinTokenRoutes,
  ...nodeRevokeRoutes,
  ...authorityRoutes,
  ...poolRoutes,
  ...domainRoutes,
  ...lookRoutes,
  ...lookPacketRoutes,
  ...eventRoutes,
  ...findingRoutes,
  ...streamRoutes,
  ...auditRoutes,
  ...auditChainRoutes,
  ...sessionRoutes,
  ...signInRoutes,
  ...deviceLoginRoutes,
  ...userRoutes,
  ...userPasswordRoutes,
  ...userTotpRoutes,
  ...apiTokenRoutes,
  ...accessRoutes,
  ...healthRoutes,
];
