/**
 * How a command ends: what is said on stderr, and the exit code.
 *
 * ```
 *   0   done, and every check holds
 *   1   a check was broken: the run is the witness; or storage failed, as a full disk does
 *   2   what the user gave cannot be used; nothing was written
 *  70   a bug in stordom itself, with its stack
 * 130   interrupted
 * ```
 */
import { CommanderError } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';

export const ExitCode = { ok: 0, broken: 1, usage: 2, bug: 70, interrupted: 130 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Ctrl-C, or a termination from outside. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Says what ended a command too early, and gives its exit code. */
export function exitCodeFor(thrown: unknown, say: (text: string) => void): ExitCode {
  if (thrown instanceof CommanderError) {
    // Help and version were asked for; what else commander throws it has already explained.
    return thrown.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  }
  if (thrown instanceof UsageError) {
    say(`stordom: ${thrown.message} [${thrown.code}]\n`);
    return ExitCode.usage;
  }
  if (thrown instanceof StorageError) {
    say(`stordom: ${thrown.message} [${thrown.code}]\n`);
    return ExitCode.broken;
  }
  if (thrown instanceof Interrupted) {
    say(`stordom: ${thrown.message}\n`);
    return ExitCode.interrupted;
  }
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  say(`stordom: a bug in stordom, not in what you gave it:\n${text}\n`);
  return ExitCode.bug;
}
