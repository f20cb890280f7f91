/** Names of the log's files on its host's disk: `log-<incarnation>-<n>`, `ckpt-<incarnation>-a`. */
export type LogFile =
  | { readonly kind: 'segment'; readonly incarnation: number; readonly number: number }
  | { readonly kind: 'checkpoint'; readonly incarnation: number; readonly side: 'a' | 'b' };

const SEGMENT = /^log-([1-9][0-9]{0,9})-([1-9][0-9]{0,9})$/;
const CHECKPOINT = /^ckpt-([1-9][0-9]{0,9})-([ab])$/;

export function segmentName(incarnation: number, number: number): string {
  return `log-${incarnation}-${number}`;
}

export function checkpointName(incarnation: number, side: 'a' | 'b'): string {
  return `ckpt-${incarnation}-${side}`;
}

/** What a file of the host's disk is to the log; null if it is none of its own. */
export function parseLogName(name: string): LogFile | null {
  const segment = SEGMENT.exec(name);
  if (segment !== null) {
    return { kind: 'segment', incarnation: Number(segment[1]), number: Number(segment[2]) };
  }
  const checkpoint = CHECKPOINT.exec(name);
  if (checkpoint === null) return null;
  const side = checkpoint[2] === 'a' ? 'a' : 'b';
  return { kind: 'checkpoint', incarnation: Number(checkpoint[1]), side };
}
