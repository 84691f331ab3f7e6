/** Information about the host, for `mirrorplane up`. */

/**
 * The device of the IPv4 default route with the lowest metric.
 * @param routes content of /proc/net/route
 * @returns undefined without a default route, or with one through the loopback device only
 */
export function defaultRouteDevice(routes: string): string | undefined {
  let best: { device: string; metric: number } | undefined;
  for (const line of routes.split('\n').slice(1)) {
    const [device, destination, , flags, , , metric, mask] = line.trim().split(/\s+/);
    const up = (Number.parseInt(flags ?? '0', 16) & 1) !== 0;
    if (!device || device === 'lo' || !up || destination !== '00000000' || mask !== '00000000') {
      continue;
    }
    if (!best || Number(metric) < best.metric) {
      best = { device, metric: Number(metric) };
    }
  }
  return best?.device;
}

/**
 * The node name for a host name: its first label in lower case. Undefined where this is no valid
 * name.
 */
export function nodeNameOf(hostname: string): string | undefined {
  const name = hostname
    .split('.')[0]!
    .toLowerCase()
    .replaceAll('_', '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) ? name : undefined;
}
