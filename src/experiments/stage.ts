/** What both worlds offer the runner: hosts with toolstacks, a clock, and ways to strike. */
import type { Toolstack, ToolstackEvents } from '../hypervisor/toolstack.ts';
import type { Trigger } from '../world/faults.ts';
import type { Clock, Timers } from '../world/world.ts';

export interface Stage {
  readonly world: 'threads' | 'sim';
  readonly clock: Clock;
  readonly timers: Timers;
  /** Makes a host with its toolstack; `events` hears of exits on it. */
  openHost(name: string, events: ToolstackEvents): Toolstack;
  /**
   * Has an actor killed at an event or crash point of its own. Throws `UsageError` for a trigger
   * that this world does not have.
   */
  arm(actor: string, trigger: Trigger): void;
}
