/** With what a controller proves to another one that it is a controller of this cluster. */
import { statSync } from 'node:fs';
import path from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import { Authority } from '../auth/authority.ts';

/** Files of the authority: another one of them means another authority. */
const FILES = ['ca.key', 'ca.crt', 'next-ca.key', 'next-ca.crt'] as const;
/** Milliseconds that a certificate is used. It is valid for a day. */
const USED_MS = 60 * 60 * 1000;

/** The authority in the data directory of a controller that does not lead, as the leader has it. */
export class FollowedAuthority {
  readonly #data: string;
  readonly #clock: () => number;
  #authority: { opened: Authority; files: string } | undefined;
  #made: { options: ConnectionOptions; files: string; at: number } | undefined;

  /** @param clock milliseconds since 1970 */
  constructor(data: string, clock: () => number) {
    this.#data = data;
    this.#clock = clock;
  }

  /** Undefined: there is none yet. The first leader makes it. */
  async open(): Promise<Authority | undefined> {
    const files = this.#files();
    if (files === undefined) {
      return undefined;
    }
    if (this.#authority?.files !== files) {
      this.#authority = { opened: await Authority.open(this.#data, this.#clock), files };
    }
    return this.#authority.opened;
  }

  /** Options of a connection to the agents' port of another controller. Undefined: as `open`. */
  async connectionOptions(): Promise<ConnectionOptions | undefined> {
    const authority = await this.open();
    if (authority === undefined) {
      return undefined;
    }
    const { files } = this.#authority!;
    if (this.#made === undefined || this.#made.files !== files || Math.abs(this.#clock() - this.#made.at) > USED_MS) {
      const { certificate, key } = await authority.controllerCertificate();
      const options = { key, cert: certificate, ca: authority.trustedPem, servername: CONTROLLER_NAME };
      this.#made = { options: { ...options, minVersion: 'TLSv1.3' }, files, at: this.#clock() };
    }
    return this.#made.options;
  }

  /** What tells one state of the files from another. Undefined: there is no authority. */
  #files(): string | undefined {
    const marks = FILES.map((name) => {
      const found = statSync(path.join(this.#data, name), { throwIfNoEntry: false, bigint: true });
      return found && `${found.ino} ${found.mtimeNs}`;
    });
    return marks[0] === undefined || marks[1] === undefined ? undefined : marks.join();
  }
}
