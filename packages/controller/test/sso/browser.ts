/** A browser that follows redirects and keeps cookies, without a page. */
import { request } from 'node:http';

export interface Page {
  status: number;
  url: URL;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

export class Browser {
  /** By host and port: names and values. Paths and life are left to the test. */
  readonly cookies = new Map<string, Map<string, string>>();
  /** What was set, as it was sent. */
  readonly set: string[] = [];

  /** One request. */
  async send(method: string, url: URL | string, headers: Record<string, string> = {}, body?: string): Promise<Page> {
    const to = new URL(url);
    const own = [...(this.cookies.get(to.host) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ');
    const all = { ...(own !== '' && { cookie: own }), ...headers };
    return new Promise((resolve, reject) => {
      const sent = request(to, { method, headers: all, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          this.#keep(to.host, answer.headers['set-cookie'] ?? []);
          resolve({
            status: answer.statusCode!,
            url: to,
            headers: answer.headers,
            text: Buffer.concat(chunks).toString(),
          });
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** Follows redirects until `stop` says so, or there is none. Returns the last page. */
  async follow(url: URL | string, stop: (next: URL) => boolean = () => false): Promise<Page> {
    let page = await this.send('GET', url);
    for (let hops = 0; hops < 15 && [302, 303].includes(page.status); hops++) {
      const next = new URL(String(page.headers.location), page.url);
      if (stop(next)) {
        return page;
      }
      page = await this.send('GET', next);
    }
    return page;
  }

  #keep(host: string, set: readonly string[]): void {
    const jar = this.cookies.get(host) ?? new Map<string, string>();
    this.cookies.set(host, jar);
    for (const cookie of set) {
      this.set.push(cookie);
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      if (/; max-age=0(;|$)/i.test(cookie)) {
        jar.delete(name!);
      } else {
        jar.set(name!, value!);
      }
    }
  }
}
