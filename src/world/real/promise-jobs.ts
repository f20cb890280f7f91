/**
 * Counts the promise jobs of this thread, so that a loop knows whether a story has run.
 *
 * A step may settle a promise that a story awaits, and the story may then make work for the next
 * step without ringing any bell. A loop that goes to sleep must know that this has not happened.
 * JavaScript does not tell whether jobs are queued; V8's hook tells when one runs. So: step until
 * idle, let all jobs run, and sleep if the count has not moved. The hook costs about 20 ns a job
 * (await: 54 ns with it, 35 ns without) and nothing on the data path, which has no promises.
 */
import { promiseHooks } from 'node:v8';

export class PromiseJobs {
  #count = 0;
  #stop: (() => void) | null = null;

  get count(): number {
    return this.#count;
  }

  start(): void {
    const stop = promiseHooks.onBefore(() => {
      this.#count += 1;
    });
    this.#stop = () => {
      stop();
    };
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
  }
}
