import test from 'ava';
import { groupBytesOf } from '../../../src/parallax/formats/log-group.ts';
import {
  checkLogOptions,
  checkpointFileBytes,
  DEFAULT_LOG_OPTIONS,
  LOG_ARENA_BYTES,
  type LogOptions,
  maxPayloadBytes,
} from '../../../src/parallax/log/log-options.ts';

const DEFAULTS: LogOptions = {
  ...DEFAULT_LOG_OPTIONS,
  arena: { address: 0, bytes: LOG_ARENA_BYTES },
};

test('by default a request of 1 MiB is one entry, and groups of 32 writes fit beside it', (t) => {
  t.notThrows(() => checkLogOptions(DEFAULTS));
  t.true(maxPayloadBytes(DEFAULTS) >= 2 ** 20);
  t.true(groupBytesOf(2 ** 20, 1, 1) + groupBytesOf(32 * 4096, 32, 32) <= LOG_ARENA_BYTES);
});

test('an arena that a segment cannot hold, or that holds too few groups, is refused', (t) => {
  const bytes = DEFAULTS.segmentBytes;
  t.throws(() => checkLogOptions({ ...DEFAULTS, arena: { address: 0, bytes } }));
  const few = { address: 0, bytes: 2 * DEFAULTS.maxGroupBytes };
  t.throws(() => checkLogOptions({ ...DEFAULTS, arena: few }));
});

test('by default a checkpoint has 2 MiB at the most, however many blocks are dirty', (t) => {
  t.true(checkpointFileBytes(DEFAULTS) <= 2 * 2 ** 20, `${checkpointFileBytes(DEFAULTS)} bytes`);
});
