/**
 * Who may read and write which virtual disk, and by which map: what the directory says, as of
 * lately.
 *
 * Like the record of a pair it is gone by for `leaseNs` after it was asked for, by the server's own
 * clock. So a session that was fenced is refused by every server when that time (and what clocks
 * may differ by) has passed since: the fence is then confirmed without asking anybody. Nothing of
 * the session is begun after that, what has waited for its blocks included. What was begun before
 * may yet be waiting for a copy, or for somebody's lease.
 */
import type { World } from '../../world/world.ts';
import { PetalStatus, type ReadMessage } from '../wire/messages.ts';
import type { AccessDirectory, ServerOptions, VdiskFacts } from './ports.ts';

interface Known {
  readonly facts: VdiskFacts | null;
  readonly fence: number | null;
  readonly untilNs: number;
}

type Asked = Pick<
  ReadMessage,
  'vdisk' | 'session' | 'fence' | 'mapVersion' | 'epoch' | 'block' | 'blocks' | 'gmap'
>;

export class Access {
  readonly #world: World;
  readonly #directory: AccessDirectory;
  readonly #options: ServerOptions;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<void>>();

  constructor(world: World, directory: AccessDirectory, options: ServerOptions) {
    this.#world = world;
    this.#directory = directory;
    this.#options = options;
  }

  /** Whether it may be served; null: `learn` first. */
  check(asked: Asked): PetalStatus | null {
    const key = keyOf(asked);
    const known = this.#known.get(key);
    const nowNs = this.#world.clock.nowNs();
    if (known === undefined || nowNs >= known.untilNs) return null;
    // Soon it would be too old: it is asked for again before anybody has to wait for it.
    if (nowNs >= known.untilNs - this.#options.leaseNs / 2)
      this.learn(asked).catch(() => undefined);
    const { facts, fence } = known;
    if (fence === null || asked.fence !== fence) return PetalStatus.fenced;
    if (facts === null || facts.gmap !== asked.gmap) return PetalStatus.staleMap;
    if (facts.mapVersion !== asked.mapVersion || facts.epoch !== asked.epoch) {
      return PetalStatus.staleMap;
    }
    return asked.block + asked.blocks <= facts.sizeBlocks ? PetalStatus.ok : PetalStatus.ioError;
  }

  /** Asks the directory; rejects if it cannot answer now. */
  learn(asked: Asked): Promise<void> {
    const key = keyOf(asked);
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    const learning = this.#learn(key, asked).finally(() => this.#asking.delete(key));
    this.#asking.set(key, learning);
    return learning;
  }

  async #learn(key: string, { vdisk, session }: Asked): Promise<void> {
    const { leaseNs, plantedBug } = this.#options;
    const askedNs = this.#world.clock.nowNs();
    const { vdisk: facts, fence } = await this.#directory.accessOf(vdisk, session);
    const fromNs = plantedBug === 'late-lease' ? this.#world.clock.nowNs() : askedNs;
    this.#known.set(key, { facts, fence, untilNs: fromNs + leaseNs });
  }
}

function keyOf({ vdisk, session }: Asked): string {
  return `${vdisk}/${session}`;
}
