/** Fails chosen requests before they reach the device below. */
import type { Prng } from '../../base/prng.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import { Filter } from './filter.ts';

export interface ErrorRule {
  /** null: any operation. */
  readonly op: keyof typeof DeviceOp | null;
  /** Sectors [firstLba, endLba); a flush matches any range. */
  readonly firstLba: number;
  readonly endLba: number;
  /** Chance that a matching request fails, in [0, 1]. */
  readonly probability: number;
  /** Lets this many matching requests pass first. */
  readonly skip: number;
  /** How many requests it fails before it is spent; 0: no limit. */
  readonly times: number;
  readonly status: 'ioError' | 'notSupported';
}

export const ALWAYS_FAIL: ErrorRule = {
  op: null,
  firstLba: 0,
  endLba: Number.MAX_SAFE_INTEGER,
  probability: 1,
  skip: 0,
  times: 0,
  status: 'ioError',
};

interface ArmedRule {
  readonly rule: ErrorRule;
  seen: number;
  fired: number;
}

export class ErrorFilter extends Filter {
  readonly #random: Prng;
  #rules: ArmedRule[];
  /** Requests it has failed. */
  injected = 0;

  constructor(inner: BlockDevice, rules: readonly ErrorRule[], random: Prng) {
    super(inner);
    this.#random = random;
    this.#rules = rules.map(arm);
  }

  /** Replaces the rules; counts begin anew. */
  setRules(rules: readonly ErrorRule[]): void {
    this.#rules = rules.map(arm);
  }

  override submit(request: DeviceRequest): void {
    for (const armed of this.#rules) {
      if (!this.#strikes(armed, request)) continue;
      this.injected++;
      request.deviceDone(DeviceStatus[armed.rule.status]);
      return;
    }
    this.inner.submit(request);
  }

  #strikes(armed: ArmedRule, request: DeviceRequest): boolean {
    const { rule } = armed;
    if (rule.op !== null && DeviceOp[rule.op] !== request.op) return false;
    if (request.op !== DeviceOp.flush) {
      if (request.lba >= rule.endLba || request.lba + request.sectors <= rule.firstLba)
        return false;
    }
    if (rule.times > 0 && armed.fired >= rule.times) return false;
    if (armed.seen++ < rule.skip) return false;
    if (rule.probability < 1 && !this.#random.chance(rule.probability)) return false;
    armed.fired++;
    return true;
  }
}

function arm(rule: ErrorRule): ArmedRule {
  return { rule, seen: 0, fired: 0 };
}
