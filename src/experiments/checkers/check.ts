/** What a checker says: one verdict with the numbers behind it, or two witnesses against it. */
export interface Verdict {
  readonly name: string;
  readonly ok: boolean;
  readonly text: string;
}

export function holds(name: string, text: string): Verdict {
  return { name, ok: true, text };
}

export function broken(name: string, text: string): Verdict {
  return { name, ok: false, text };
}
