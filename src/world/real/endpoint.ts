/**
 * Comlink over message ports of Node, and errors that survive the way.
 *
 * Comlink's own handler of thrown values keeps the message, the name and the stack of an error and
 * drops its class, code, fields and cause. Ours sends the plain record of `base/errors.ts` instead;
 * it must be in place on both sides, so both sides come through this file.
 */
import { type Endpoint, expose, type Remote, transferHandlers, wrap } from 'comlink';
import { type ErrorRecord, fromErrorRecord, toErrorRecord } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { ControlSurface } from '../actor.ts';
import type { MessageSource } from './net.ts';

interface Thrown {
  readonly value: unknown;
}

const original = transferHandlers.get('throw');
invariant(original !== undefined, 'comlink has a handler of thrown values');
transferHandlers.set('throw', {
  canHandle: (value): value is Thrown => original.canHandle(value),
  serialize: (thrown) => [toErrorRecord((thrown as Thrown).value), []],
  deserialize: (record) => {
    throw fromErrorRecord(record as ErrorRecord);
  },
});

type Listener = (event: { readonly data: unknown }) => void;

function endpointOf(source: MessageSource, afterPost: () => void): Endpoint {
  const listeners = new Set<Listener>();
  let listening = false;
  const endpoint = {
    postMessage: (message: unknown, transfer: readonly ArrayBuffer[] = []): void => {
      source.port.postMessage(message, transfer);
      afterPost();
    },
    addEventListener: (_type: string, listener: Listener): void => {
      listeners.add(listener);
      if (listening) return;
      listening = true;
      source.listen((data) => {
        for (const each of listeners) each({ data });
      });
    },
    removeEventListener: (_type: string, listener: Listener): void => {
      listeners.delete(listener);
    },
  };
  return endpoint as unknown as Endpoint;
}

export function serveControl(control: ControlSurface, source: MessageSource): void {
  expose(
    control,
    endpointOf(source, () => {}),
  );
}

/** A caller of the control surface at the other end. `afterPost` rings a bell, if one is needed. */
export class ControlClient {
  readonly #remote: Remote<Record<string, (...args: unknown[]) => unknown>>;

  constructor(source: MessageSource, afterPost: () => void) {
    this.#remote = wrap(endpointOf(source, afterPost));
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    const remote = this.#remote[method];
    invariant(remote !== undefined, 'a comlink proxy answers to every name');
    return remote(...args);
  }
}
