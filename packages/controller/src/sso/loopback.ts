/** Which hosts are this host itself. */

/** Whether a host of a URL is this host itself, so that nothing crosses a network. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
