/**
 * One-time codes of an authenticator app: TOTP of RFC 6238 with SHA-1, six digits and 30 seconds,
 * which every app knows.
 */
import { Secret, TOTP } from 'otpauth';

/** Seconds that a code is good for. */
const PERIOD_S = 30;
/** Clocks of the phone and the controller may differ by this many codes. */
const WINDOW = 1;
/** Bytes of a secret, as RFC 4226 recommends. */
const SECRET_BYTES = 20;

/** A new secret, in base32. */
export function newTotpSecret(): string {
  return new Secret({ size: SECRET_BYTES }).base32;
}

/** The address that an authenticator app reads from a QR code. */
export function totpUri(secret: string, user: string): string {
  return totpOf(secret, user).toString();
}

/**
 * The time step of a code that is good now; undefined: it is none.
 * @param lastStep the last step that was used. A code is good once: it and older ones are refused
 * @param now milliseconds since 1970
 */
export function stepOf(
  code: string,
  secret: string,
  { lastStep, now }: { lastStep: number; now: number },
): number | undefined {
  const token = code.replaceAll(/\s/g, '');
  if (!/^\d{6}$/.test(token)) {
    return undefined;
  }
  const delta = totpOf(secret).validate({ token, timestamp: now, window: WINDOW });
  const step = delta === null ? undefined : Math.floor(now / 1000 / PERIOD_S) + delta;
  return step !== undefined && step > lastStep ? step : undefined;
}

function totpOf(secret: string, user = 'user'): TOTP {
  const issuer = 'Mirrorplane';
  return new TOTP({ issuer, label: user, secret: Secret.fromBase32(secret), digits: 6, period: PERIOD_S });
}
