/** Text to copy: a command, a file. */
import { Button, CopyButton } from '@mantine/core';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';

export function CodeBlock({ label, code }: { label: string; code: string }): ReactNode {
  return (
    <div className="panel">
      <div className="bar">
        <span className="quiet">{label}</span>
        <CopyButton value={code}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="default" onClick={copy}>
              {copied ? text.common.copied : text.common.copy}
            </Button>
          )}
        </CopyButton>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled by the keys */}
      <pre className="code" tabIndex={0} translate="no">
        {code}
      </pre>
    </div>
  );
}
