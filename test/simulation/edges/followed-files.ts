/** Stands in for the files that controllers share: each has what a leader needs. */
export class FollowedFiles {
  readonly canLead = true;
  readonly problem = undefined;

  open(): void {}

  async close(): Promise<void> {}
}
