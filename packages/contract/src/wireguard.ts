/** WireGuard between nodes: keys, addresses inside the tunnel, and bytes that it adds. */
import * as z from 'zod';

/** The highest UDP port. */
const MAX_PORT = 65_535;

/** A public key: 32 bytes, base64. */
export const WireguardKey = z
  .string()
  .regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, 'a WireGuard key has 32 bytes, in base64')
  .meta({ examples: ['HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw='] });

/** The end of encrypted copies on a node. */
export const WireguardEnd = z.object({
  publicKey: WireguardKey,
  port: z.number().int().min(1).max(MAX_PORT).meta({ description: 'UDP port of the node.' }),
});
export type WireguardEnd = z.infer<typeof WireguardEnd>;

/**
 * The way of encrypted copies between two nodes. It names the keys of both, so a new key is a new
 * way: the receiver is ready for it before the sender changes.
 */
export const Tunnel = z.object({
  ownKey: WireguardKey.meta({ description: 'Public key of this node. Its private key decides which device is meant.' }),
  peerKey: WireguardKey.meta({ description: 'Public key of the other node.' }),
  endpoint: z.object({
    address: z.ipv4().meta({ description: 'Underlay address of the other node.' }),
    port: z.number().int().min(1).max(MAX_PORT).meta({ description: 'UDP port of the other node.' }),
  }),
});
export type Tunnel = z.infer<typeof Tunnel>;

/**
 * Bytes that WireGuard adds to a packet: IPv4 20, UDP 8, header 16, authentication 16 (section
 * 5.4.6 of the WireGuard paper).
 */
export const WIREGUARD_OVERHEAD = 60;
/** The packet inside is filled up to a multiple of this. */
const PADDING = 16;

/**
 * The largest packet inside a tunnel, bytes.
 * @param mtu of the network that carries the tunnel
 */
export function tunnelMtu(mtu: number): number {
  return Math.floor((mtu - WIREGUARD_OVERHEAD) / PADDING) * PADDING;
}

/**
 * The smallest MTU of a network whose tunnels carry packets of this size, bytes. The inverse of
 * `tunnelMtu`.
 */
export function carrierMtu(packet: number): number {
  return Math.ceil(packet / PADDING) * PADDING + WIREGUARD_OVERHEAD;
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The address of a key inside tunnels: 27 bits of the key in 240.0.0.0/5, which no host has (RFC
 * 1112, section 4). Copies that are told to go there never leave a node in clear text.
 */
export function tunnelAddress(key: string): string {
  const bits = [...key.slice(0, 6)].reduce((sum, digit) => sum * 64 + BASE64.indexOf(digit), 0);
  const [first, ...others] = [33, 25, 17, 9].map((shift) => Math.floor(bits / 2 ** shift) % 256);
  return [240 + first!, ...others].join('.');
}
