/** A sign-in at a provider of OpenID Connect that has begun. */
import * as z from 'zod';

/** What the browser keeps, sealed, while a person is at the provider. */
export const Begun = z.strictObject({
  way: z.string(),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
});
export type Begun = z.infer<typeof Begun>;
