/** Reply schemas for the serialiser, and the repair of what does not fit. */
import { Type } from 'typebox';
import { expect, test } from 'vitest';
import { envelopeOf, forReplies, repair } from '#agent/http/serialize';
import { GUEST_API } from '#shared/wire/api';
import { nullable } from '#shared/wire/values';

test('types stay, checks go', () => {
  const schema = Type.Object({
    count: nullable(Type.Integer({ minimum: 1 })),
    state: Type.Union([Type.Literal('on'), Type.Literal('off')]),
    label: nullable(Type.Union([Type.Literal('a'), Type.Literal('b')])),
    alive: Type.Literal(true),
    list: Type.Array(Type.Object({ name: Type.String({ pattern: '^a' }) })),
    more: Type.Optional(Type.Number()),
  });
  expect(forReplies(schema)).toEqual({
    type: 'object',
    required: ['count', 'state', 'label', 'alive', 'list'],
    properties: {
      count: { type: 'integer', nullable: true },
      state: { type: 'string' },
      label: { type: 'string', nullable: true },
      alive: { type: 'boolean' },
      list: { type: 'array', items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } },
      more: { type: 'number' },
    },
  });
});

test.each(Object.entries(GUEST_API))('every union of %s has become one type', (_name, { reply }) => {
  const text = JSON.stringify(envelopeOf(reply));
  expect(text).not.toContain('anyOf');
  expect(text).not.toContain('const');
});

test('what does not fit is brought nearest', () => {
  const schema = forReplies(
    Type.Object({ a: Type.Integer(), b: Type.Number(), c: Type.Array(Type.Integer()), d: Type.Optional(Type.String()) }),
  );
  expect(repair(schema, { a: 1.5, b: Number.NaN, c: [2.5, Number.POSITIVE_INFINITY], extra: 1 })).toEqual({
    a: 1,
    b: null,
    c: [2, null],
  });
});
