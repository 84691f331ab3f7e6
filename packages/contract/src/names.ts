/** Names and identifiers that every resource shares. */
import * as z from 'zod';

/** The form of a name. */
export const NAME_PATTERN = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * A name in lower case, as in DNS: letters, digits and hyphens, 1 to 63 characters, letter or digit
 * at both ends.
 */
export const Name = z
  .string()
  .regex(NAME_PATTERN, 'use 1 to 63 lower-case letters, digits and hyphens, for example "ids-all"')
  .meta({ id: 'Name', examples: ['ids-all'] });

/**
 * The stable id of an interface, as in `web-1/0`: 1 to 128 characters, survives migration and
 * renaming.
 */
export const InterfaceId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/,
    'use 1 to 128 letters, digits and . _ : / -, beginning with a letter or digit, for example "web-1/0"',
  )
  .meta({ id: 'InterfaceId', examples: ['web-1/0'] });

/** A 48-bit MAC address in lower case with colons. */
export const MacAddress = z
  .string()
  .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/, 'write a MAC address in lower case, for example "02:00:00:00:00:01"');

/** A moment as the controller writes it: ISO 8601 in UTC. Reading does not check the format. */
export const Timestamp = z.string().meta({ format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] });

/**
 * A kernel device name: 1 to 15 characters, no slash and no white space (IFNAMSIZ,
 * include/uapi/linux/if.h).
 */
export const DeviceName = z
  .string()
  .regex(/^[^\s/:]{1,15}$/, 'a device name has 1 to 15 characters, without spaces, "/" and ":"');

/**
 * The name of a device, or an alternative name of up to 127 characters (`altname`, ALTIFNAMSIZ).
 */
export const DeviceReference = z
  .string()
  .regex(/^[^\s/:]{1,127}$/, 'a device name has 1 to 15 characters, an altname 127, without spaces, "/" and ":"');

/** The most sources one mirror policy takes. */
export const MAX_SOURCES = 1024;
/**
 * With this many policies, the creation of another one is answered with the warning POLICY_MANY.
 */
export const MANY_POLICIES = 100;
/** The highest rate that a budget can have, Mbit/s. */
export const MAX_RATE = 100_000;
/** ERSPAN session ids run from 1 to this value (10 bits, 0 unused). */
export const MAX_SESSION = 1023;
/** Generations of a session id run from 0 to this value (9 bits of the ERSPAN index). */
export const MAX_GENERATION = 511;
/** The secret of a policy has 11 bits: what ERSPAN type II reserves, except the bit of probes. */
export const MAX_SECRET = 2047;
