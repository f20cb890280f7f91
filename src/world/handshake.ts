/**
 * What both ends of a connection send first, and how each judges what it gets: who is there, by the
 * protocol that is spoken over it. Nothing else of the other side is looked at before.
 */
export interface Handshake {
  /** The first frame of this side. */
  hello(): Uint8Array;
  /** `called`: who should be there, of a connection that was dialled; null: it came in. */
  judge(first: Uint8Array, called: string | null): Judged;
}

/** The name under which the other side goes from now on, or why it is sent away, for people. */
export type Judged = { readonly name: string } | { readonly problem: string };
