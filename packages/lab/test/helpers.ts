/** Names of labs, and frames to send in them. */
import type { Lab } from '@mirrorplane/lab';

/** A lab name that no other run on this machine uses. `letter` tells the labs of one run apart. */
export function labName(letter: string): string {
  return `${letter}${(process.pid % 46_656).toString(36)}`.padEnd(4, '0') + Math.floor(Math.random() * 36).toString(36);
}

/** A frame to send. The default addresses are unused. */
export interface Frame {
  vlan: number;
  payload: string;
  source?: string;
  destination?: string;
}

const SEND = `
import socket, struct, sys
device, dst, src, vlan, payload = sys.argv[1:]
mac = lambda m: bytes.fromhex(m.replace(':', ''))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((device, 0))
s.send(mac(dst) + mac(src) + struct.pack('!HHH', 0x8100, int(vlan), 0x88b5) + payload.encode().ljust(46, b'.'))`;

/** Sends one tagged frame of EtherType 0x88b5 (local experiments) out of a device. */
export async function sendFrame(lab: Lab, host: string, device: string, frame: Frame): Promise<void> {
  const { destination = '02:ff:00:00:00:02', source = '02:ff:00:00:00:01', vlan, payload } = frame;
  await lab.exec(host, ['python3', '-c', SEND, device, destination, source, String(vlan), payload]);
}
