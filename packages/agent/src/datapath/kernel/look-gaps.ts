/** Places where looks do not see all packets, and why. */
import type { LookGap } from '../datapath.ts';
import type { Attachment, Links } from './links.ts';
import type { Placed } from './rows.ts';

/** A gap for every look that needs this program. @param message why it is not there */
export function gaps({ attachment, looks = [] }: Placed, message: string): LookGap[] {
  const { ifindex, hook } = attachment;
  return looks.map((look) => ({ look, ifindex, hook, message }));
}

/** What {@link lookGaps} asks. */
export interface GapQuestions {
  isDisputed: (attachment: Attachment) => boolean;
  links: Links;
  /** Kernel ids of our programs. */
  ours: ReadonlySet<number>;
}

/** A gap for every look that foreign programs may hide packets from. */
export function lookGaps(attachments: readonly Placed[], { isDisputed, links, ours }: GapQuestions): LookGap[] {
  return attachments.flatMap((placed) => {
    const { attachment } = placed;
    const disputed = isDisputed(attachment) && 'another program repeatedly attaches before ours';
    const what = disputed || links.obstacle(attachment, ours);
    return what ? gaps(placed, `${what}: packets that it does not pass on are not seen`) : [];
  });
}
