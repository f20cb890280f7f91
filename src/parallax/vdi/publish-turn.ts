/** A turn that one story has at a time, in the order in which they asked. */
export class PublishTurn {
  #last: Promise<void> = Promise.resolve();

  /** Runs `story` when those before it have ended, whatever became of them. */
  async take<T>(story: () => Promise<T>): Promise<T> {
    const before = this.#last;
    let end: () => void = () => undefined;
    this.#last = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    try {
      return await story();
    } finally {
      end();
    }
  }
}
