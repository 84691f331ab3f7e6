/** The ways in which copies cross between nodes, apart from their schema, which takes long to load. */

/** `wireguard`: encrypted, or not at all. */
export const POOL_UNDERLAYS = ['plain', 'wireguard'] as const;
