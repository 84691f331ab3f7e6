/** The fields of a packet. A field that has the focus is marked among the bytes. */
import type { ReactNode } from 'react';
import type { PacketTreeNode } from '../api/types.ts';
import { text } from '../text/index.ts';
import classes from './packets.module.css';

export interface FieldTreeProps {
  tree: readonly PacketTreeNode[];
  chosen: PacketTreeNode | undefined;
  onChoose(field: PacketTreeNode): void;
}

export function FieldTree({ tree, chosen, onChoose }: FieldTreeProps): ReactNode {
  return (
    <ul className={classes.tree} translate="no">
      {tree.map((field, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the tree of a packet stays as it is
        <li key={at}>
          {field.children.length === 0 ? (
            <button
              type="button"
              className={classes.field}
              data-marked={field === chosen || undefined}
              onFocus={() => onChoose(field)}
            >
              <Label field={field} />
            </button>
          ) : (
            <details>
              {/* biome-ignore lint/a11y/noStaticElementInteractions: a summary is interactive */}
              <summary data-marked={field === chosen || undefined} onFocus={() => onChoose(field)}>
                <Label field={field} />
              </summary>
              <FieldTree tree={field.children} chosen={chosen} onChoose={onChoose} />
            </details>
          )}
        </li>
      ))}
    </ul>
  );
}

function Label({ field: { label, derived } }: { field: PacketTreeNode }): ReactNode {
  return derived ? <span title={text.packets.derived}>[{label}]</span> : label;
}
