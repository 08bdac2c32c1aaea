/** `/cluster/jobs/schedule-analyze`: the next moments of a calendar event, in the node's local time. */

import { nextEvent, parseCalendarEvent } from '../calendar.ts';
import { type Area, type Call, integer, param } from '../sim.ts';

const analyze = (call: Call): { timestamp: number; utc: string }[] => {
  const event = parseCalendarEvent(param(call, 'schedule'));
  const moments: { timestamp: number; utc: string }[] = [];
  let at = integer(call, 'starttime') ?? call.now;
  while (event && moments.length < (integer(call, 'iterations') ?? 10)) {
    const next = nextEvent(event, at);
    if (next === undefined) break;
    moments.push({
      timestamp: next,
      utc: new Date(next * 1000).toUTCString().replace(/^(\w+), (\d\d) (\w+) (\d+) ([\d:]+) GMT$/, '$1 $3 $2 $5 $4'),
    });
    at = next;
  }
  return moments;
};

export const schedule: Area = { 'GET /cluster/jobs/schedule-analyze': analyze };
