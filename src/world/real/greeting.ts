/** The beginning of a connection: hello from both sides, at once, and nothing else before. */
import type { Handshake } from '../handshake.ts';
import type { SocketLink } from './socket-link.ts';

export interface Greeting {
  readonly handshake: Handshake;
  /** Who was dialled; null: it came in. */
  readonly called: string | null;
  /** Who has said nothing for so long is sent away. */
  readonly helloMs: number;
}

/**
 * Greets the other end of a new link. `welcome` is called once its hello is good, before any frame
 * behind that is handed over, and gives who receives those; `refuse` if it is not, or none comes in
 * time: the link is closed then. Neither is called when the link ends before.
 */
export function greet(
  link: SocketLink,
  { handshake, called, helloMs }: Greeting,
  welcome: (name: string) => (frame: Uint8Array) => void,
  refuse: (why: string) => void,
): void {
  let isOver = false;
  const sendAway = (why: string): void => {
    if (isOver) return;
    isOver = true;
    link.close();
    refuse(why);
  };
  const late = setTimeout(() => sendAway(`no hello in ${helloMs} ms`), helloMs);
  late.unref();
  link.onFrame((first) => {
    clearTimeout(late);
    if (isOver) return;
    const judged = handshake.judge(first, called);
    if ('problem' in judged) return sendAway(judged.problem);
    isOver = true;
    link.onFrame(welcome(judged.name));
  });
  link.send(handshake.hello());
}
