/** Calendar events: the next moments, and what is none. */

import { expect, test } from 'vitest';
import { nextEvent, parseCalendarEvent } from '../../pve/calendar.ts';

const next = (schedule: string, from: string): string | undefined => {
  const event = parseCalendarEvent(`${schedule} UTC`);
  const at = event && nextEvent(event, Date.parse(from) / 1000);
  return at === undefined ? undefined : new Date(at * 1000).toISOString().slice(0, 19);
};

// 2026-11-21 is a Saturday.
test.each([
  ['a time of day', '02:30', '2026-11-21T22:44:00Z', '2026-11-22T02:30:00'],
  ['weekdays', 'mon..fri 03:00', '2026-11-21T22:44:00Z', '2026-11-23T03:00:00'],
  ['weekdays that wrap', 'sat..tue 03:00', '2026-11-21T22:44:00Z', '2026-11-22T03:00:00'],
  ['a list of weekdays', 'mon,wed 03:15', '2026-11-24T00:00:00Z', '2026-11-25T03:15:00'],
  ['one number: minutes of every hour', '22', '2026-11-21T22:44:00Z', '2026-11-21T23:22:00'],
  ['repetition', '*/15', '2026-11-21T22:44:00Z', '2026-11-21T22:45:00'],
  ['every two hours', '*/2:00', '2026-11-21T22:44:00Z', '2026-11-22T00:00:00'],
  ['a range of hours', '8..10:30', '2026-11-21T09:31:00Z', '2026-11-21T10:30:00'],
  ['a day of the month', '*-*-1 04:00', '2026-11-21T22:44:00Z', '2026-12-01T04:00:00'],
  ['a date', '2027-2-28 00:00:10', '2026-11-21T22:44:00Z', '2027-02-28T00:00:10'],
  ['a day without a time', 'sun', '2026-11-21T22:44:00Z', '2026-11-22T00:00:00'],
  ['a keyword', 'monthly', '2026-11-21T22:44:00Z', '2026-12-01T00:00:00'],
  ['strictly after', '22:44', '2026-11-21T22:44:00Z', '2026-11-22T22:44:00'],
  ['never', '2020-1-1 00:00', '2026-11-21T22:44:00Z', undefined],
])('%s', (_what, schedule, from, expected) => {
  expect(next(schedule, from)).toBe(expected);
});

test.each(['nonsense time', '25:00', '12:60', 'mon..', '0-13-1 00:00', 'Daily-ish', '1:2:3:4', 'mon tue 3:00'])(
  '%s is no calendar event',
  (text) => {
    expect(parseCalendarEvent(text)).toBeUndefined();
  },
);
