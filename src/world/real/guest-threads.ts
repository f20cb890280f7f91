/**
 * Guests as long-lived tasks of a piscina pool, and the one thing piscina does not tell: when the
 * thread of an aborted task has really gone.
 *
 * An aborted task is rejected at once, while `terminate` of its thread has only begun. But before
 * piscina forgets a thread it emits `workerDestroy` with the thread's id, and at that moment the
 * thread is still in `pool.threads`: there we take hold of it and wait for its own 'exit' event.
 * After a rejection (abort, crash of the thread) `run` waits for all threads that are dying; that
 * may be one thread too many, never one too few.
 *
 * `atomics: 'disabled'`: piscina's own `Atomics.wait` between tasks would stop whatever the event
 * loop of the thread has left to do. One task a thread: an abortable task counts as infinite use.
 */
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { UsageError } from '../../base/errors.ts';
import type { ExitReport } from '../actor.ts';
import type { ActorBoot } from './boot.ts';

export class GuestThreads {
  readonly #pool: Piscina<ActorBoot, ExitReport>;
  readonly #workerFile: string;
  readonly #dying = new Set<Promise<void>>();
  #running = 0;

  constructor(workerFile: URL, threads: number) {
    this.#workerFile = workerFile.href;
    this.#pool = new Piscina({ minThreads: 0, maxThreads: threads, atomics: 'disabled' });
    this.#pool.on('workerDestroy', ({ id }: { readonly id: number }) => {
      const thread = this.#pool.threads.find(({ threadId }) => threadId === id);
      // A thread that has ended by itself has no id any more: nothing to wait for.
      if (thread !== undefined && id >= 0) this.#watch(thread);
    });
  }

  /** Runs a guest. Rejects when its thread is gone, by `abort` or by itself. */
  async run(boot: ActorBoot, abort: AbortSignal): Promise<ExitReport> {
    if (this.#running >= this.#pool.maxThreads) {
      throw new UsageError(
        'E_GUEST_THREADS',
        `no thread is free for guest ${boot.name}: ${this.#running} guests run on ` +
          `${this.#pool.maxThreads} threads; start the spawner with at least one thread a guest`,
        { fields: { guest: boot.name, threads: this.#pool.maxThreads } },
      );
    }
    this.#running += 1;
    const ports = [boot.control, boot.news, ...boot.links.map(([, port]) => port)];
    try {
      return await this.#pool.run(boot, {
        filename: this.#workerFile,
        name: 'main',
        transferList: ports,
        signal: abort,
      });
    } catch (thrown) {
      await Promise.all(this.#dying);
      throw thrown;
    } finally {
      this.#running -= 1;
    }
  }

  /** Ends all threads. The guests must have ended. */
  async close(): Promise<void> {
    await this.#pool.destroy();
    await Promise.all(this.#dying);
  }

  #watch(thread: Worker): void {
    const gone = new Promise<void>((resolve) => {
      thread.once('exit', () => resolve());
    });
    this.#dying.add(gone);
    void gone.then(() => this.#dying.delete(gone));
  }
}
