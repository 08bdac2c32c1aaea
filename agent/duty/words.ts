/** Times as customers read them. Pure. */

/** `37 hours`, `1 minute`: the largest unit that a person would use, rounded down. */
export const span = (ms: number): string => {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'less than a minute';
  if (minutes < 120) return counted(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  return hours < 72 ? counted(hours, 'hour') : counted(Math.floor(hours / 24), 'day');
};

export const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;
