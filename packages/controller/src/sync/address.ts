/** The address of an agent, also where another controller has handed its connection on. */
import type { Socket } from 'node:net';
import type { Services } from '../services.ts';

export function addressOf(socket: Socket, { leadership }: Pick<Services, 'leadership'>): string {
  return (leadership ? leadership.tunnels.addressOf(socket) : socket.remoteAddress) ?? 'unknown';
}
