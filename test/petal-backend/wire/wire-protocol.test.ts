/** docs/wire-protocol.md against the proto file, the limits, the statuses and the golden files. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX } from '../../../src/petal-backend/wire/codec.ts';
import {
  DIRTY_BLOCKS_MAX,
  PAYLOAD_BYTES_MAX,
} from '../../../src/petal-backend/wire/message-rules.ts';
import { CHUNK_BLOCKS, PetalStatus } from '../../../src/petal-backend/wire/messages.ts';

const page = readFileSync('docs/wire-protocol.md', 'utf8');
const proto = readFileSync('src/petal-backend/wire/petal.proto', 'utf8');

interface ProtoField {
  readonly name: string;
  readonly type: string;
  readonly number: number;
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Fields by message; `Envelope` has its messages. */
function messagesOf(text: string): Map<string, ProtoField[]> {
  const messages = new Map<string, ProtoField[]>();
  for (const [, name, body] of text.matchAll(/^message (\w+) \{\n([\s\S]*?)^\}/gm)) {
    const fields = [...(body as string).matchAll(/((?:repeated )?)(\w+) (\w+) = (\d+)/g)];
    messages.set(
      name as string,
      fields.map(([, repeated, type, field, number]) => ({
        name: camel(field as string),
        type: `${repeated}${type}`,
        number: Number(number),
      })),
    );
  }
  return messages;
}

/** Cells of the rows of the table below a heading whose first cell matches. */
function rows(text: string, heading: string, first: RegExp): string[][] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| (.*) \|$/gm)]
    .map(([, row]) => (row as string).split(' | ').map((cell) => cell.trim()))
    .filter(([cell]) => first.test(cell ?? ''));
}

/** Names in code of a cell. */
function named(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);
}

function sorted(lines: Iterable<string>): string[] {
  return [...new Set(lines)].sort();
}

const messages = messagesOf(proto);

test('docs/wire-protocol.md has every field of the proto file with its number and type, and no other', (t) => {
  const fields = [...messages].filter(([name]) => name !== 'Envelope').flatMap(([, all]) => all);
  const declared = fields.map(({ number, name, type }) => `${number} ${name} ${type}`);
  const told = rows(page, 'Fields', /^\d+$/).map(
    ([number, name, type]) => `${number} ${named(name).join()} ${type}`,
  );
  t.true(told.length > 30);
  t.deepEqual(sorted(told), sorted(declared));
  t.is(told.length, new Set(told).size);
});

test('docs/wire-protocol.md has every message with its fields in order, and every golden file', (t) => {
  const envelope = messages.get('Envelope') ?? [];
  t.is(envelope.length, 15);
  const told = rows(page, 'Messages', /^\d+$/);
  t.deepEqual(
    told.map(([number, name]) => `${number} ${named(name).join()}`),
    envelope.map(({ number, name }) => `${number} ${name}`),
  );
  const fieldsOf = (type: string): string[] => (messages.get(type) ?? []).map(({ name }) => name);
  envelope.forEach(({ type }, at) => {
    t.deepEqual(sorted(named(told[at]?.[3])), sorted(fieldsOf(type)), type);
  });
  for (const [part, fields] of rows(page, 'Messages', /^`[A-Z]/)) {
    t.deepEqual(named(fields), fieldsOf(named(part).join()));
  }
  const golden = readdirSync('test/fixtures/v1/wire');
  t.deepEqual(sorted(told.flatMap((row) => named(row[5]))), sorted(golden));
});

test('docs/wire-protocol.md has the limits and the statuses of the code', (t) => {
  const limits = {
    HEADER_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    FRAME_BYTES_MAX,
    CHUNK_BLOCKS,
    DIRTY_BLOCKS_MAX,
  };
  t.deepEqual(
    Object.fromEntries(
      rows(page, 'Limits', /^[a-z]/)
        .filter(([, most]) => /^\d+$/.test(most ?? ''))
        .map(([, most, name]) => [named(name).join(), Number(most)]),
    ),
    limits,
  );
  t.deepEqual(
    Object.fromEntries(
      rows(page, 'Statuses', /^-?\d+$/).map(([status, name]) => [
        named(name).join(),
        Number(status),
      ]),
    ),
    { ...PetalStatus },
  );
});

test('a field has one number and one meaning: only version and blocks have two, which differ in type', (t) => {
  const numbers = new Map<string, Set<number>>();
  const names = new Map<number, Set<string>>();
  for (const [message, fields] of messages) {
    if (message === 'Envelope') continue;
    for (const { name, number } of fields) {
      numbers.set(name, (numbers.get(name) ?? new Set()).add(number));
      names.set(number, (names.get(number) ?? new Set()).add(name));
    }
  }
  t.deepEqual(
    [...numbers]
      .filter(([, set]) => set.size > 1)
      .map(([name]) => name)
      .sort(),
    ['blocks', 'version'],
  );
  t.true([...names.values()].every((set) => set.size === 1));
});
