/** Stands in for what a controller proves to another: here all of them have proven it. */
export class FollowedAuthority {
  async open(): Promise<undefined> {
    return undefined;
  }

  async connectionOptions(): Promise<object> {
    return { servername: 'controller' };
  }
}
